import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { systemClock, type Clock } from '@etcd-ts/platform'
import { defaultLogSettings, type LogRotation, type LogSettings } from '../config/log-settings.ts'
import { createLogger } from './logger.ts'
import { RotatingFileSink } from './rotating-file-sink.ts'
import { StreamSink } from './stream-sink.ts'

const folder = mkdtempSync(join(tmpdir(), 'etcd-ts-log-'))
after(() => rmSync(folder, { recursive: true }))
let folders = 0
function freshFolder(): string {
  return mkdtempSync(join(folder, `${++folders}-`))
}

const settingsFor = (settings: Partial<LogSettings>): LogSettings => ({ ...defaultLogSettings, ...settings })
const unlimited: LogRotation = {
  sizeMegabytesMax: 1,
  ageDaysMax: 0,
  backupsMax: 0,
  localTime: false,
  compress: false,
}
const clockAt = (wallMs: number): Clock => ({ ...systemClock, wallMs: () => wallMs })
const START_MS = 1_795_521_600_000 // 2026-11-24T12:00:00Z

void test('several files get every line, and an existing file is appended to', () => {
  const paths = ['a.log', 'b.log'].map((name) => join(freshFolder(), name))
  writeFileSync(paths[0] ?? '', 'earlier\n')
  const logger = createLogger(settingsFor({ outputs: paths }), systemClock, 'test')
  logger.info('hello')
  logger.close()
  logger.info('after the end')
  const [a = '', b = ''] = paths.map((path) => readFileSync(path, 'utf8'))
  assert.match(a, /^earlier\n\{.*"msg":"hello"\}\n$/)
  assert.match(b, /^\{.*"msg":"hello"\}\n$/)
})

void test('a file that cannot be opened is refused with its name and the reason', () => {
  const path = join(freshFolder(), 'no', 'such', 'x.log')
  assert.throws(() => createLogger(settingsFor({ outputs: [path] }), systemClock, 'test'), {
    name: 'ConfigError',
    message: `couldn't open sink "${path}": open ${path}: no such file or directory`,
  })
})

void test('a file is moved aside before it would outgrow its size', () => {
  const path = join(freshFolder(), 'deep', 'etcd.log')
  const sink = new RotatingFileSink(path, unlimited, clockAt(START_MS))
  const half = `${'x'.repeat(600 * 1024)}\n`
  for (const mark of ['1', '2', '3']) sink.write(mark + half)
  sink.close()
  const names = readdirSync(join(path, '..')).sort()
  assert.deepEqual(names, [
    'etcd-2026-11-24T12-00-00.000.log',
    'etcd-2026-11-24T12-00-00.001.log',
    'etcd.log',
  ])
  assert.deepEqual(
    names.map((name) => readFileSync(join(path, '..', name), 'utf8')[0]),
    ['1', '2', '3'],
  )
  assert.equal(statSync(path).mode & 0o777, 0o600)
})

void test('a file begun by an earlier process counts with its size', () => {
  const path = join(freshFolder(), 'etcd.log')
  writeFileSync(path, 'y'.repeat(1024 * 1024))
  const sink = new RotatingFileSink(path, unlimited, clockAt(START_MS))
  sink.write('next\n')
  sink.close()
  assert.equal(readFileSync(path, 'utf8'), 'next\n')
})

void test('old files are removed by number and by age, the rest is compressed, others are left alone', async () => {
  const where = freshFolder()
  const path = join(where, 'etcd.log')
  for (const name of [
    'etcd-2026-11-24T11-00-00.000.log',
    'etcd-2026-11-24T10-00-00.000.log.gz',
    'etcd-2026-11-24T09-00-00.000.log',
    'etcd-2026-11-20T12-00-00.000.log',
    'etcd-2026-bad.log',
    'other.log',
  ]) {
    writeFileSync(join(where, name), `content of ${name}`)
  }
  const sink = new RotatingFileSink(
    path,
    { ...unlimited, backupsMax: 3, ageDaysMax: 3, compress: true },
    clockAt(START_MS),
  )
  await sink.cleaned()
  assert.deepEqual(readdirSync(where).sort(), [
    'etcd-2026-11-24T09-00-00.000.log.gz',
    'etcd-2026-11-24T10-00-00.000.log.gz',
    'etcd-2026-11-24T11-00-00.000.log.gz',
    'etcd-2026-bad.log',
    'etcd.log',
    'other.log',
  ])
  const compressed = readFileSync(join(where, 'etcd-2026-11-24T11-00-00.000.log.gz'))
  assert.equal(gunzipSync(compressed).toString(), 'content of etcd-2026-11-24T11-00-00.000.log')
  sink.close()
})

void test('when the file cannot be moved, lines still go into it', () => {
  const where = freshFolder()
  const path = join(where, 'etcd.log')
  const sink = new RotatingFileSink(path, unlimited, clockAt(START_MS))
  sink.write(`${'x'.repeat(1024 * 1024)}\n`)
  renameSync(path, join(where, 'taken-away.log'))
  sink.write('still here\n')
  sink.close()
  assert.ok(readFileSync(join(where, 'taken-away.log'), 'utf8').endsWith('still here\n'))
})

const program = (body: string): string => `
  import { createLogger } from ${JSON.stringify(new URL('logger.js', import.meta.url).href)}
  import { systemClock } from '@etcd-ts/platform'
  const settings = { level: 'info', format: 'json', outputs: ['stderr'], rotation: null }
  const logger = createLogger(settings, systemClock, 'test')
  ${body}`

void test('lines written right before the process ends are not lost', () => {
  const body = `for (let i = 0; i < 500; i++) logger.info('line', { i }); logger.fatal('the end'); process.exit(1)`
  const out = execFileSync(
    'sh',
    ['-c', '"$0" --input-type=module -e "$1" 2>&1 || true', process.execPath, program(body)],
    { encoding: 'utf8', cwd: new URL('.', import.meta.url).pathname },
  )
  const lines = out.trimEnd().split('\n')
  assert.equal(lines.length, 501)
  assert.match(lines.at(-1) ?? '', /"msg":"the end"/)
})

void test(
  'a reader that does not read holds nobody up, and learns how much it missed',
  { skip: process.platform !== 'linux' },
  () => {
    const path = join(freshFolder(), 'pipe')
    execFileSync('mkfifo', [path])
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const writer = openSync(path, constants.O_WRONLY)
    let missed = 0
    let retry = (): void => assert.fail('nothing waits')
    const clock: Clock = {
      ...systemClock,
      setTimer: (_delayMs, run) => {
        retry = run
        return { cancel: () => undefined }
      },
    }
    const sink = new StreamSink(writer, clock, (lines) => {
      missed += lines
    })
    for (let line = 0; line < 3000; line++) sink.write(`${'x'.repeat(999)}\n`)
    assert.equal(missed, 0)
    const chunk = Buffer.alloc(2 * 1024 * 1024)
    let bytes = 0
    while (missed === 0) {
      bytes += readSync(reader, chunk)
      retry()
    }
    bytes += readSync(reader, chunk)
    sink.close()
    closeSync(writer)
    closeSync(reader)
    assert.equal(bytes, (3000 - missed) * 1000)
  },
)
