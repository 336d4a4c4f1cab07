import assert from 'node:assert/strict'
import test from 'node:test'
import { decodeGrpcMessage, encodeGrpcMessage } from './grpc-message.ts'
import { decodeTimeout, encodeTimeout } from './grpc-timeout.ts'
import { MetadataList } from './metadata.ts'
import { dialErrorMessage, lostMessage } from './dial-error.ts'

for (const { text, wire } of [
  { text: 'etcdserver: key not found', wire: 'etcdserver: key not found' },
  { text: '', wire: '' },
  { text: '100% grün', wire: '100%25 gr%C3%BCn' },
  { text: 'two\nlines\t', wire: 'two%0Alines%09' },
  { text: ' blank ', wire: '%20blank%20' },
  { text: 'a b', wire: 'a b' },
  { text: '\u{1f600}', wire: '%F0%9F%98%80' },
])
  void test(`the message ${JSON.stringify(text)} is sent as ${JSON.stringify(wire)}`, () => {
    assert.equal(encodeGrpcMessage(text), wire)
    assert.equal(decodeGrpcMessage(wire), text)
  })

for (const { wire, text } of [
  { wire: '100%', text: '100%' },
  { wire: '%zz %4', text: '%zz %4' },
  { wire: '%c3%bc', text: 'ü' },
  { wire: '%FF', text: '\ufffd' },
])
  void test(`the message ${wire} is read leniently`, () => assert.equal(decodeGrpcMessage(wire), text))

for (const { wire, ms } of [
  { wire: '1H', ms: 3_600_000 },
  { wire: '2M', ms: 120_000 },
  { wire: '3S', ms: 3000 },
  { wire: '4m', ms: 4 },
  { wire: '5000u', ms: 5 },
  { wire: '99999999n', ms: 99.999999 },
  { wire: '0m', ms: 0 },
])
  void test(`the timeout ${wire} is ${ms} ms`, () => assert.equal(decodeTimeout(wire), ms))

for (const { wire, fault } of [
  { wire: '5', fault: 'transport: timeout string is too short: "5"' },
  { wire: '123456789m', fault: 'transport: timeout string is too long: "123456789m"' },
  { wire: '5x', fault: 'transport: timeout unit is not recognized: "5x"' },
  { wire: 'xm', fault: 'strconv.ParseUint: parsing "x": invalid syntax' },
  { wire: '-1m', fault: 'strconv.ParseUint: parsing "-1": invalid syntax' },
])
  void test(`the timeout ${wire} is refused in grpc-go's words`, () =>
    assert.equal(decodeTimeout(wire), fault))

for (const ms of [0.001, 1, 5000, 99_999, 100_001, 86_400_000, 1e8, 1e10, 1e12])
  void test(`a timeout of ${ms} ms is sent in eight digits, and not shorter`, () => {
    const wire = encodeTimeout(ms)
    assert.ok(wire.length <= 9)
    const back = Number(decodeTimeout(wire))
    assert.ok(back >= ms && back <= ms * 1.01, `${wire} is ${back}`)
  })

void test('a timeout in the past is sent as none left', () => assert.equal(encodeTimeout(-5), '0n'))

void test('metadata keeps order, finds first values and carries bytes', () => {
  const list = MetadataList.from({ 'X-One': 'a', 'data-bin': Uint8Array.of(1, 2, 255) }).add('x-one', 'b')
  assert.deepEqual(
    [...list.entries()],
    [
      ['x-one', 'a'],
      ['data-bin', 'AQL/'],
      ['x-one', 'b'],
    ],
  )
  assert.equal(list.get('x-one'), 'a')
  assert.equal(list.get('none'), undefined)
  assert.deepEqual([...list.getBinary('data-bin')!], [1, 2, 255])
  assert.equal(list.getBinary('none'), undefined)
})

for (const { name, add } of [
  { name: 'bytes under a text name', add: () => MetadataList.from({ x: Uint8Array.of(1) }) },
  { name: 'text under a -bin name', add: () => MetadataList.from({ 'x-bin': 'a' }) },
  { name: 'a line end', add: () => MetadataList.from({ x: 'a\nb' }) },
  { name: 'a blank name', add: () => MetadataList.from({ 'a b': 'c' }) },
  { name: 'a pseudo header', add: () => MetadataList.from({ ':path': '/' }) },
])
  void test(`metadata with ${name} is refused`, () => assert.throws(add, TypeError))

for (const { name, error, text } of [
  {
    name: 'a refused connection',
    error: { code: 'ECONNREFUSED', syscall: 'connect', address: '::1', port: 2379 },
    text: 'connection error: desc = "transport: Error while dialing: dial tcp [::1]:2379: connect: connection refused"',
  },
  {
    name: 'a missing socket file',
    error: { code: 'ENOENT', syscall: 'connect', address: 'localhost:1' },
    text: 'connection error: desc = "transport: Error while dialing: dial unix localhost:1: connect: no such file or directory"',
  },
  {
    name: 'an unknown host',
    error: { code: 'ENOTFOUND', syscall: 'getaddrinfo', hostname: 'nowhere.invalid' },
    text: 'connection error: desc = "transport: Error while dialing: dial tcp: lookup nowhere.invalid: no such host"',
  },
  {
    name: 'an untrusted certificate',
    error: { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' },
    text: 'connection error: desc = "transport: authentication handshake failed: tls: failed to verify certificate: x509: certificate signed by unknown authority"',
  },
  {
    name: 'a connection cut before the greeting',
    error: { code: 'ECONNRESET', syscall: 'read' },
    text: 'connection error: desc = "error reading server preface: connection reset by peer"',
  },
])
  void test(`${name} is told in grpc-go's words`, () =>
    assert.equal(dialErrorMessage(Object.assign(new Error('x'), error)), text))

void test("a lost connection is told in grpc-go's words", () =>
  assert.equal(
    lostMessage(Object.assign(new Error('x'), { code: 'ECONNRESET' })),
    'error reading from server: connection reset by peer',
  ))
