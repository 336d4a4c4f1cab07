// `npm start`: install what is missing, build, and run a member in this very process.
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { root, setup } from './setup.mjs'

setup()
await import(pathToFileURL(join(root, 'bin', 'etcd')).href)
