// `npm start [-- FLAGS]`: install what is missing, build, and run a member in this very process.
import { setup } from './setup.mjs'

await setup()
const { runServer } = await import('@etcd-ts/server')
await runServer(process.argv.slice(2), process.env, {
  onReady(addresses) {
    process.stdout.write(
      `etcd-ts listens on ${addresses.join(', ')}; in another shell, type: bin/etcdctl put greeting hello\n`,
    )
  },
})
