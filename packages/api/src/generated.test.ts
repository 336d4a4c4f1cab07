import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

void test('the generated codecs are those of the protocol files', () => {
  const root = path.resolve(fileURLToPath(import.meta.url), '../../../..')
  const check = spawnSync(process.execPath, [path.join(root, 'scripts/generate-api.mjs'), '--check'], {
    encoding: 'utf8',
  })
  assert.equal(check.stderr, '', 'run: node scripts/generate-api.mjs')
  assert.equal(check.status, 0)
})
