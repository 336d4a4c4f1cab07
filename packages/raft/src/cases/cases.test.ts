import assert from 'node:assert/strict'
import { relative } from 'node:path'
import { test } from 'node:test'
import { caseFolder, reasonToSkip } from './folder.ts'
import { caseFilesIn, describeFailure, runCaseFile } from './run-cases.ts'

const folder = caseFolder()
const reason = reasonToSkip(folder)

if (reason !== undefined) void test('data-driven cases', { skip: reason }, () => {})
else {
  const paths = caseFilesIn(folder)
  void test('there are data-driven cases', () => assert.ok(paths.length > 0))
  for (const path of paths) {
    void test(relative(folder, path), () => {
      assert.equal(runCaseFile(path).failures.map(describeFailure).join('\n'), '')
    })
  }
}
