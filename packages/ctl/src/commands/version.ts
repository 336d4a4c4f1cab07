import type { Command } from '../cli/command.ts'
import { API_VERSION, ETCD_VERSION } from '../version.ts'

export const version: Command = {
  name: 'version',
  use: 'version',
  short: 'Prints the versions of etcdctl and its API',
  run: ({ io }) => {
    io.out(`etcdctl version: ${ETCD_VERSION}\nAPI version: ${API_VERSION}\n`)
    return Promise.resolve()
  },
}
