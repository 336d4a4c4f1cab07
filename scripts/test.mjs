// `npm test [-- PATTERN...]`: install and build what is missing, then run every compiled test file whose
// path contains one of the patterns. Ends with `N passed, M failed` (and how many were skipped, and why).
import { readdirSync } from 'node:fs'
import { join, relative } from 'node:path'
import { run } from 'node:test'
import { root, setup, workspaceFolders } from './setup.mjs'

function testFilesIn(folder) {
  const found = []
  let entries
  try {
    entries = readdirSync(folder, { withFileTypes: true })
  } catch (error) {
    if (error.code === 'ENOENT') return found // a package without build output has no tests
    throw error
  }
  for (const entry of entries) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) found.push(...testFilesIn(path))
    else if (entry.name.endsWith('.test.js')) found.push(path)
  }
  return found.toSorted((a, b) => (a < b ? -1 : 1))
}

/** Runs `files`, printing what fails as it happens; resolves to the counts. */
async function runFiles(files, concurrency) {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  const stream = run({ files, concurrency })
  let shown = ''
  const showFile = (file) => {
    if (file === undefined || file === shown) return
    shown = file
    process.stdout.write(`${relative(root, file)}\n`)
  }
  stream.on('test:pass', (test) => {
    if (test.details.type === 'suite') return
    showFile(test.file)
    if (test.skip === undefined) counts.passed++
    else {
      counts.skipped++
      process.stdout.write(
        `  skipped: ${test.name}${typeof test.skip === 'string' ? ` (${test.skip})` : ''}\n`,
      )
    }
  })
  stream.on('test:fail', (test) => {
    const error = test.details.error
    if (test.details.type === 'suite' || error?.failureType === 'subtestsFailed') return
    counts.failed++
    showFile(test.file)
    const cause = error?.cause ?? error
    process.stdout.write(`  FAILED: ${test.name}\n${String(cause?.stack ?? cause).replace(/^/gm, '    ')}\n`)
  })
  stream.on('test:stdout', (output) => process.stdout.write(output.message))
  stream.on('test:stderr', (output) => process.stderr.write(output.message))
  for await (const event of stream) void event
  return counts
}

await setup({ clean: process.env.CI === 'true' })
const patterns = process.argv.slice(2)
const wanted = (file) =>
  patterns.length === 0 || patterns.some((pattern) => relative(root, file).includes(pattern))
const acrossPackages = join(root, 'tests')
const files = workspaceFolders()
  .flatMap((folder) => testFilesIn(join(folder, 'dist')))
  .filter(wanted)
// Tests across packages start servers of their own and share two cores: one file at a time. Simulations start none.
const isAlone = (file) => file.startsWith(acrossPackages) && !file.includes('simulation')
const beside = await runFiles(
  files.filter((file) => !isAlone(file)),
  2,
)
const across = await runFiles(files.filter(isAlone), 1)
const passed = beside.passed + across.passed
const failed = beside.failed + across.failed
const skipped = beside.skipped + across.skipped
process.stdout.write(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`)
process.exit(failed > 0 || passed === 0 ? 1 : 0)
