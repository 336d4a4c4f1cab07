// Runs the data-driven cases alone: `node packages/raft/dist/cases/main.js [PATTERN...]`, where a pattern is a
// part of a file's path. Ends with `N passed, M failed`, counting files.
import { relative } from 'node:path'
import { caseFolder, reasonToSkip } from './folder.ts'
import { caseFilesIn, describeFailure, runCaseFile } from './run-cases.ts'

const folder = caseFolder()
const reason = reasonToSkip(folder)
const patterns = process.argv.slice(2)
let passed = 0
let failed = 0
if (reason === undefined) {
  for (const path of caseFilesIn(folder)) {
    const name = relative(folder, path)
    if (patterns.length > 0 && !patterns.some((pattern) => name.includes(pattern))) continue
    const { count, failures } = runCaseFile(path)
    if (failures.length === 0) {
      passed++
      process.stdout.write(`ok      ${name} (${count} cases)\n`)
    } else {
      failed++
      process.stdout.write(`FAILED  ${name} (${failures.length} of ${count} cases)\n`)
      process.stdout.write(failures.map(describeFailure).join('\n').replace(/^/gm, '    ').trimEnd() + '\n')
    }
  }
} else {
  process.stdout.write(`skipped: ${reason}\n`)
}
process.stdout.write(`${passed} passed, ${failed} failed\n`)
process.exitCode = failed > 0 ? 1 : 0
