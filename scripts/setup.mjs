// Makes a fresh clone runnable: installs the dependencies if they are missing or outdated, then builds.
// Plain JavaScript, because it runs before anything is installed.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

export const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** Packages and tests: every folder that `tsc -b` builds. */
export function workspaceFolders() {
  const packages = readdirSync(join(root, 'packages')).map((name) => join(root, 'packages', name))
  return [...packages, join(root, 'tests')].filter((folder) => existsSync(join(folder, 'package.json')))
}

function run(title, command, args) {
  process.stderr.write(`${title}\n`)
  const done = spawnSync(command, args, {
    cwd: root,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  })
  if (done.status !== 0) {
    process.stderr.write(`${title} failed; the lines above say why\n`)
    process.exit(done.status ?? 1)
  }
}

function isInstalled() {
  const marker = join(root, 'node_modules', '.package-lock.json')
  return existsSync(marker) && statSync(marker).mtimeMs >= statSync(join(root, 'package-lock.json')).mtimeMs
}

/** Removes all build output, so that no file of a deleted source survives. */
function clean() {
  for (const folder of workspaceFolders()) {
    rmSync(join(folder, 'dist'), { recursive: true, force: true })
    for (const name of readdirSync(folder)) {
      if (name.endsWith('.tsbuildinfo')) rmSync(join(folder, name))
    }
  }
}

/**
 * Installs and builds what is missing.
 * @param options `clean`: build from nothing, as CI does
 */
export async function setup(options = {}) {
  const major = Number(process.versions.node.split('.')[0])
  if (major < 20) {
    process.stderr.write(`etcd-ts needs Node 20 or later; this is ${process.version}\n`)
    process.exit(1)
  }
  if (!isInstalled()) {
    run('Installing dependencies (once, about ten seconds) ...', 'npm', ['ci', '--no-fund', '--no-audit'])
  }
  if (options.clean) clean()
  run('Building ...', process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-b'])
  await bundleCommandLine()
}

/**
 * Puts etcdctl into a few files. It is started for every call of a script, and loading its hundred modules one by
 * one takes a third of the time that a call may take (docs/decisions/0005-etcdctl-bundle.md).
 */
async function bundleCommandLine() {
  const { build } = await import('esbuild')
  const outdir = join(root, 'packages', 'ctl', 'dist', 'bundle')
  rmSync(outdir, { recursive: true, force: true })
  await build({
    entryPoints: { etcdctl: join(root, 'packages', 'ctl', 'dist', 'main.js') },
    outdir,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    minifySyntax: true,
    minifyWhitespace: true,
    logLevel: 'error',
  })
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href)
  await setup({ clean: process.argv.includes('--clean') })
