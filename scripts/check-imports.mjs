// The arrows of ARCHITECTURE.md, enforced: a package may import only the siblings that its package.json
// names, and no sibling may be named that lies above it. `tsc -b` alone lets an undeclared sibling through.
import { readFileSync, readdirSync } from 'node:fs'
import { basename, join, relative } from 'node:path'
import { root, workspaceFolders } from './setup.mjs'

const allowed = {
  platform: [],
  api: [],
  grpc: [],
  raft: [],
  wal: ['api', 'platform'],
  backend: ['platform'],
  mvcc: ['api', 'backend', 'platform'],
  client: ['api', 'grpc'],
  ctl: ['api', 'grpc', 'client'],
  server: ['api', 'grpc', 'raft', 'wal', 'backend', 'mvcc', 'platform'],
}

function sourcesIn(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return sourcesIn(path)
    return entry.name.endsWith('.ts') ? [path] : []
  })
}

/** The last line of an import or re-export of a package. */
const IMPORT = /^(?:import|export|\}).*\bfrom '([^'.][^']*)'$/gm

const faults = []
for (const folder of workspaceFolders()) {
  const name = basename(folder)
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const declared = { ...manifest.dependencies, ...manifest.devDependencies }
  for (const dependency of Object.keys(manifest.dependencies ?? {})) {
    const sibling = /^@etcd-ts\/(.*)$/.exec(dependency)?.[1]
    if (sibling && allowed[name] && !allowed[name].includes(sibling))
      faults.push(`${name} may not depend on ${sibling}`)
  }
  for (const file of sourcesIn(join(folder, 'src'))) {
    for (const [, specifier] of readFileSync(file, 'utf8').matchAll(IMPORT)) {
      if (specifier.startsWith('node:')) continue
      const dependency = specifier
        .split('/')
        .slice(0, specifier.startsWith('@') ? 2 : 1)
        .join('/')
      if (!(dependency in declared))
        faults.push(`${relative(root, file)} imports ${dependency}, which ${name}/package.json does not name`)
    }
  }
}
for (const fault of faults) process.stderr.write(`${fault}\n`)
process.exit(faults.length > 0 ? 1 : 0)
