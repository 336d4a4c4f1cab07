import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { ManualScope, ServerProcess, findProgram, skipWithout } from '@etcd-ts/testkit'

const run = promisify(execFile)
const examples = fileURLToPath(new URL('../../examples/', import.meta.url))

void describe('examples', () => {
  const scope = new ManualScope()
  let environment: NodeJS.ProcessEnv

  after(() => scope.end())
  before(async () => {
    const server = await ServerProcess.start(scope)
    environment = { ...process.env, ENDPOINT: `127.0.0.1:${server.clientPort}` }
  })

  void test('key-value.mjs', async () => {
    const { stdout } = await run(process.execPath, ['key-value.mjs'], { cwd: examples, env: environment })
    assert.match(stdout, /config\/color is blue since revision 2\nchanged to green\n/)
    assert.match(stdout, /config\/color = green\nconfig\/shape = any\nconfig\/size = any\n$/)
  })

  void test('json-gateway.sh', { skip: skipWithout(findProgram('curl'), 'curl') ?? false }, async () => {
    const { stdout } = await run('sh', ['json-gateway.sh'], { cwd: examples, env: environment })
    assert.match(stdout, /"value":"aGVsbG8="/)
    assert.match(stdout, /"deleted":"1"/)
    assert.match(stdout, /"health":"true"/)
  })
})
