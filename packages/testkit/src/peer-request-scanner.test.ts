import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PeerRequestScanner } from './peer-request-scanner.ts'

const PROBE = 'GET /raft/probing HTTP/1.1\r\nHost: a\r\n\r\n'
const POST = 'POST /members/promote/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello'
const STREAM = 'GET /raft/stream/message/1 HTTP/1.1\r\nHost: a\r\nX-Server-From: 1f\r\n\r\n'

void test('requests without a name go on, the first name counts', () => {
  const bytes = Buffer.from(PROBE + POST + STREAM + 'more')
  for (let cut = 1; cut < bytes.length; cut++) {
    const scanner = new PeerRequestScanner()
    const passed: Buffer[] = []
    let from: string | undefined
    for (const chunk of [bytes.subarray(0, cut), bytes.subarray(cut)]) {
      if (from !== undefined) {
        passed.push(chunk)
        continue
      }
      const result = scanner.push(chunk)
      if (result.kind === 'from') from = result.id
      if (result.kind !== 'incomplete') passed.push(result.bytes)
      assert.notEqual(result.kind, 'opaque')
    }
    assert.equal(from, '1f')
    assert.equal(Buffer.concat(passed).toString(), bytes.toString())
  }
})

for (const { name, bytes } of [
  { name: 'a TLS handshake', bytes: Buffer.from([0x16, 3, 1, 2, 0, 1]) },
  { name: 'HTTP/2', bytes: Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n') },
]) {
  void test(`${name} is not looked into`, () => {
    assert.deepEqual(new PeerRequestScanner().push(bytes), { kind: 'opaque', bytes })
  })
}
