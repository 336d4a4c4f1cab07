import assert from 'node:assert/strict'
import { existsSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { reservePorts } from './ports.ts'
import type { ServerProgram } from './programs.ts'
import { ManualScope, type Scope } from './scope.ts'
import { ServerProcess } from './server-process.ts'
import { makeTempDir } from './temp-dir.ts'

// A stand-in for a server: it says that it is ready, counts its starts in its data directory, and ends as it is told.
const PROGRAM = `
import { appendFileSync, readFileSync } from 'node:fs'
const flag = (name) => process.argv.find((word) => word.startsWith('--' + name + '='))?.slice(name.length + 3)
appendFileSync(flag('data-dir') + '/starts', 'x')
console.error('start ' + readFileSync(flag('data-dir') + '/starts', 'utf8').length)
process.on('SIGTERM', () => { console.log('stopping'); process.exit(0) })
if (flag('crash')) process.exit(Number(flag('crash')))
process.on('SIGUSR2', () => process.exit(3))
console.error('ready to serve client requests')
setInterval(() => {}, 1000)`

function program(scope: Scope): ServerProgram {
  const path = join(makeTempDir(scope, 'program'), 'server.mjs')
  writeFileSync(path, PROGRAM)
  return { title: 'stand-in', command: [process.execPath, path], readyLine: /ready to serve/ }
}

void test('starts, stops, starts again on the same data, and is gone with its data at the end', async (t) => {
  const scope = new ManualScope()
  const server = await ServerProcess.start(scope, { program: program(t) })
  assert.ok(server.log.find(/^start 1$/))
  assert.deepEqual(await server.stop(), { code: 0, signal: null })
  assert.equal(server.log.lines.at(-1), 'stopping')
  await server.start()
  await server.kill()
  await server.start()
  assert.deepEqual(server.linesOfThisRun(), ['start 3', 'ready to serve client requests'])
  const { pid, dataDir } = server
  await scope.end()
  assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' })
  assert.equal(existsSync(dataDir), false)
})

void test('a start that fails says why', async (t) => {
  const server = await ServerProcess.create(t, { program: program(t), flags: ['--crash=7'] })
  await assert.rejects(server.start(), /the process ended \(exit code 7\); last lines:\nstart 1/)
  assert.deepEqual(await server.exit(), { code: 7, signal: null })
})

void test('an exit that nobody asked for fails the scope', async (t) => {
  const scope = new ManualScope()
  const server = await ServerProcess.start(scope, { program: program(t) })
  const waiting = server.log.waitFor(/never/)
  server.signal('SIGUSR2')
  await assert.rejects(waiting, /the process ended \(exit code 3\)/)
  await assert.rejects(scope.end(), /stand-in ended unexpectedly \(exit code 3\); last lines:\nstart 1/)
})

void test('a paused server answers signals only once it is resumed', async (t) => {
  const server = await ServerProcess.start(t, { program: program(t) })
  server.pause()
  server.signal('SIGTERM')
  server.resume()
  assert.deepEqual(await server.exit(), { code: 0, signal: null })
})

void test('reserved ports are different and can be opened', async (t) => {
  const ports = await reservePorts(t, 20)
  assert.equal(new Set(ports).size, 20)
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(ports[0], '127.0.0.1', resolve))
  server.close()
})
