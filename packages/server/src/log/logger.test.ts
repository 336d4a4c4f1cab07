import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Clock } from '@etcd-ts/platform'
import { defaultLogSettings, type LogLevel } from '../config/log-settings.ts'
import { loggerOf, silentLogger, writeNotes, type RootLogger } from './logger.ts'

const noon: Clock = {
  wallMs: () => 1_795_521_600_123,
  monotonicMs: () => 0,
  setTimer: () => ({ cancel: () => undefined }),
  soon: () => undefined,
  sleep: () => Promise.resolve(false),
}

function memoryLog(settings: { level?: LogLevel; format?: 'json' | 'console' } = {}): {
  logger: RootLogger
  lines: string[]
  events: string[]
} {
  const lines: string[] = []
  const events: string[] = []
  const sink = {
    write: (line: string): void => void lines.push(line),
    flush: (): void => void events.push('flush'),
    close: (): void => void events.push('close'),
  }
  return { logger: loggerOf(sink, { ...defaultLogSettings, ...settings }, noon, 'etcd/main'), lines, events }
}

/** The offset of this machine's zone makes no difference to the minute and below. */
const TS = /^\d{4}-\d\d-\d\dT\d\d:\d\d:00\.123(?:Z|[+-]\d{4})$/

void test('a line is JSON: level, ts, caller, msg, then the fields as given', () => {
  const { logger, lines } = memoryLog()
  logger
    .child('etcdserver/server')
    .info('published local member', { 'local-member-id': '8e9e', 'took-ms': 1.5, urls: ['a', 'b'] })
  assert.equal(lines.length, 1)
  const [line = ''] = lines
  assert.ok(line.endsWith('}\n'))
  const value = JSON.parse(line) as Record<string, unknown>
  assert.deepEqual(Object.keys(value), ['level', 'ts', 'caller', 'msg', 'local-member-id', 'took-ms', 'urls'])
  assert.match(String(value['ts']), TS)
  assert.deepEqual(
    [value['level'], value['caller'], value['msg'], value['urls']],
    ['info', 'etcdserver/server', 'published local member', ['a', 'b']],
  )
})

void test('an error shows its message, and its stack as well among last words', () => {
  const { logger, lines } = memoryLog()
  logger.error('failed', { error: new Error('disk is gone') })
  logger.fatal('cannot go on', { error: new Error('disk is gone') })
  const [first, second] = lines.map((line) => JSON.parse(line) as Record<string, unknown>)
  assert.equal(first?.['error'], 'disk is gone')
  assert.equal(first?.['stacktrace'], undefined)
  assert.equal(second?.['level'], 'fatal')
  assert.match(String(second?.['stacktrace']), /^Error: disk is gone\n/)
})

void test('last words are flushed before the call returns', () => {
  const { logger, events } = memoryLog()
  logger.error('lost something')
  assert.deepEqual(events, [])
  logger.panic('broken invariant')
  logger.fatal('cannot go on')
  assert.deepEqual(events, ['flush', 'flush'])
  logger.close()
  assert.deepEqual(events, ['flush', 'flush', 'flush', 'close'])
})

for (const { level, written } of [
  { level: 'debug', written: ['debug', 'info', 'warn', 'error', 'panic', 'fatal'] },
  { level: 'info', written: ['info', 'warn', 'error', 'panic', 'fatal'] },
  { level: 'warn', written: ['warn', 'error', 'panic', 'fatal'] },
  { level: 'error', written: ['error', 'panic', 'fatal'] },
  { level: 'panic', written: ['panic', 'fatal'] },
  { level: 'fatal', written: ['fatal'] },
] as const) {
  void test(`--log-level ${level} writes ${written.join(', ')}`, () => {
    const { logger, lines } = memoryLog({ level })
    for (const method of ['debug', 'info', 'warn', 'error', 'panic', 'fatal'] as const) {
      logger[method]('message')
      assert.equal(logger.isEnabled(method), (written as readonly string[]).includes(method))
    }
    assert.deepEqual(
      lines.map((line) => (JSON.parse(line) as { level: string }).level),
      written,
    )
  })
}

void test('the console format has the same in columns', () => {
  const { logger, lines } = memoryLog({ format: 'console' })
  logger.warn('slow', { took: '1s' })
  logger.info('plain')
  assert.match(lines[0] ?? '', /^\d{4}-\S+\twarn\tetcd\/main\tslow\t\{"took":"1s"\}\n$/)
  assert.match(lines[1] ?? '', /^\d{4}-\S+\tinfo\tetcd\/main\tplain\n$/)
})

void test('a bigint keeps all its digits, and undefined is left out', () => {
  const { logger, lines } = memoryLog()
  logger.info('ids', { id: 18446744073709551615n, nothing: undefined })
  assert.ok(lines[0]?.endsWith('"msg":"ids","id":18446744073709551615}\n'), lines[0])
})

void test('notes made before there was a log are written in order', () => {
  const { logger, lines } = memoryLog()
  writeNotes(logger, [
    { level: 'info', message: 'Running: ', fields: { args: ['etcd'] } },
    { level: 'warn', message: 'failed to verify flags', fields: { error: 'x' } },
  ])
  assert.deepEqual(
    lines.map((line) => (JSON.parse(line) as { level: string; msg: string }).msg),
    ['Running: ', 'failed to verify flags'],
  )
})

void test('the silent logger says nothing and has children of its kind', () => {
  silentLogger.child('x').fatal('nobody hears this')
  assert.equal(silentLogger.isEnabled('fatal'), false)
})
