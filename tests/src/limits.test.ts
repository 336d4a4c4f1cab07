import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { constants, connect } from 'node:http2'
import { after, before, describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { etcdserverpb } from '@etcd-ts/api'
import {
  type GrpcClient,
  GrpcError,
  GrpcKvClient,
  ManualScope,
  ServerProcess,
  freeAfter,
  show,
} from '@etcd-ts/testkit'

// The catalogue's D-55: sizes of messages, frames and metadata.

const REQUEST_BYTES_MAX = 1_572_864
const RECEIVED_BYTES_MAX = 2_097_152
const MEBIBYTE = 1024 * 1024

void describe('limits of messages', () => {
  const scope = new ManualScope()
  let server: ServerProcess
  let kv: GrpcKvClient
  let grpc: GrpcClient

  after(() => scope.end())
  before(async () => {
    server = await ServerProcess.start(scope)
    kv = new GrpcKvClient(server.endpoint)
    grpc = kv.grpc
    freeAfter(scope, () => kv.close())
  })

  /** The value size at which a Put becomes too large, found by halving. */
  async function largestValue(key: string): Promise<number> {
    let accepted = REQUEST_BYTES_MAX - 200
    let refused = REQUEST_BYTES_MAX + 200
    const accepts = async (size: number): Promise<boolean> => {
      const { answer } = await kv.call({ kind: 'put', key, value: 'x'.repeat(size) })
      if (answer.kind !== 'error') return true
      assert.deepEqual(answer, { kind: 'error', code: 3, message: 'etcdserver: request is too large' })
      return false
    }
    while (refused - accepted > 1) {
      const middle = (accepted + refused) >> 1
      if (await accepts(middle)) accepted = middle
      else refused = middle
    }
    return accepted
  }

  void test('a Put is too large when its proposal is one byte above the limit', async () => {
    const size = await largestValue('boundary')
    // The proposal is the request and a header with an id of 8 to 10 bytes.
    const put = { key: Buffer.from('boundary'), value: Buffer.alloc(size, 'x') }
    const sizes = [7, 8, 9].map((bits) =>
      etcdserverpb.InternalRaftRequest.encodedSize({ header: { ID: 1n << BigInt(bits * 7) }, put }),
    )
    assert.ok(sizes.includes(REQUEST_BYTES_MAX), `proposals of ${sizes.join(', ')} bytes`)
  })

  void test('what is above the limit of a received message is refused with its size', async () => {
    const request = etcdserverpb.PutRequest.encode({
      key: Buffer.from('a'),
      value: Buffer.alloc(10 * REQUEST_BYTES_MAX),
    })
    const message = `grpc: received message larger than max (${request.length} vs. ${RECEIVED_BYTES_MAX})`
    await assert.rejects(grpc.bytes('/etcdserverpb.KV/Put', request), { code: 8, text: message })
  })

  void test('between the two limits a request is too large for a proposal', async () => {
    const { answer } = await kv.call({ kind: 'put', key: 'a', value: 'x'.repeat(RECEIVED_BYTES_MAX - 1000) })
    assert.deepEqual(answer, { kind: 'error', code: 3, message: 'etcdserver: request is too large' })
  })

  void test('answers of many megabytes arrive', async () => {
    const value = 'y'.repeat(1_000_000)
    for (let i = 0; i < 12; i++) await kv.call({ kind: 'put', key: `large ${i}`, value })
    const { answer } = await kv.call({ kind: 'range', key: 'large', rangeEnd: 'largf' })
    assert.ok(answer.kind === 'range' && answer.kvs.length === 12, show(answer))
    assert.ok(answer.kvs.every((pair) => pair.value === value))
    await kv.call({ kind: 'deleteRange', key: 'large', rangeEnd: 'largf' })
  })

  void test('a frame that announces 4 GiB is refused before it arrives', async () => {
    const frame = Buffer.alloc(5)
    frame.writeUInt32BE(0xffff_ffff, 1)
    // The rest of the message is never sent, and the request stays open.
    const status = await rawCall(server.clientUrl, { frame, end: false })
    assert.deepEqual(status, {
      code: '8',
      message: `grpc: received message larger than max (${0xffff_ffff} vs. ${RECEIVED_BYTES_MAX})`,
    })
  })

  void test('a message that inflates beyond the limit is refused, and is not kept in memory', async () => {
    const before = residentBytes(server.pid)
    const bomb = gzipSync(Buffer.alloc(256 * MEBIBYTE))
    assert.ok(bomb.length < RECEIVED_BYTES_MAX)
    for (let i = 0; i < 8; i++) {
      const status = await rawCall(server.clientUrl, {
        frame: grpcFrame(bomb, 1),
        headers: { 'grpc-encoding': 'gzip' },
      })
      assert.equal(status.code, '8', show(status))
    }
    if (before !== undefined) {
      const grown = (residentBytes(server.pid) ?? 0) - before
      // Far below one inflated bomb; the process's own garbage is in this figure too.
      assert.ok(grown < 64 * MEBIBYTE, `${Math.round(grown / MEBIBYTE)} MiB more`)
    }
  })

  void test('a compressed message is understood', async () => {
    const request = etcdserverpb.PutRequest.encode({ key: Buffer.from('zipped'), value: Buffer.from('v') })
    const status = await rawCall(server.clientUrl, {
      frame: grpcFrame(gzipSync(request), 1),
      headers: { 'grpc-encoding': 'gzip' },
    })
    assert.deepEqual(status, { code: '0', message: '' })
    const { answer } = await kv.call({ kind: 'range', key: 'zipped' })
    assert.ok(answer.kind === 'range' && answer.kvs[0]?.value === 'v')
  })

  for (const { name, headers, code } of [
    // grpc-go and the gRPC specification: a message may be compressed only when an encoding was named.
    { name: 'a compressed message without an encoding', headers: {}, code: '13' },
    { name: 'an unknown encoding', headers: { 'grpc-encoding': 'snappy' }, code: '12' },
  ]) {
    void test(`${name} ends the call with status ${code}`, async () => {
      const status = await rawCall(server.clientUrl, { frame: grpcFrame(gzipSync('x'), 1), headers })
      assert.equal(status.code, code, show(status))
    })
  }

  void test('10,000 entries of metadata end at most their own connection', async () => {
    const headers = Object.fromEntries(
      Array.from({ length: 10_000 }, (_, i) => [`x-entry-${i}`, 'some value']),
    )
    const outcome = await rawCall(server.clientUrl, { frame: grpcFrame(Buffer.alloc(0), 0), headers }).then(
      (status) => `status ${status.code}`,
      (error: unknown) => String(error),
    )
    const { answer } = await kv.call({ kind: 'put', key: 'still', value: 'there' })
    assert.equal(answer.kind, 'put', outcome)
  })

  void test('a request that is no message of its type gets a status, not silence', async () => {
    await assert.rejects(
      grpc.bytes('/etcdserverpb.KV/Put', Buffer.from([0xff, 0xff, 0xff])),
      (error) => error instanceof GrpcError && error.code === 13,
    )
  })

  void test('an unknown method and an unknown service are Unimplemented', async () => {
    for (const path of ['/etcdserverpb.KV/Nothing', '/nowhere.Nothing/Nothing']) {
      await assert.rejects(
        grpc.bytes(path, new Uint8Array()),
        (error) => error instanceof GrpcError && error.code === 12,
      )
    }
  })
})

function grpcFrame(message: Uint8Array, compressed: 0 | 1): Buffer {
  const frame = Buffer.alloc(5 + message.length)
  frame[0] = compressed
  frame.writeUInt32BE(message.length, 1)
  frame.set(message, 5)
  return frame
}

/** A unary call with bytes of our choice in its DATA frames. @returns the status of its trailers */
function rawCall(
  origin: string,
  options: { frame: Buffer; headers?: Record<string, string>; end?: boolean },
): Promise<{ code: string; message: string }> {
  return new Promise((resolve, reject) => {
    const session = connect(origin)
    session.on('error', reject)
    const stream = session.request({
      [constants.HTTP2_HEADER_METHOD]: 'POST',
      [constants.HTTP2_HEADER_PATH]: '/etcdserverpb.KV/Put',
      'content-type': 'application/grpc',
      te: 'trailers',
      ...options.headers,
    }, { endStream: false }) // prettier-ignore
    let status: Record<string, string | string[] | number | undefined> = {}
    // A status without a message comes in the only header block, others in the trailers.
    stream.on('response', (headers) => (status = { ...headers }))
    stream.on('trailers', (trailers) => (status = { ...status, ...trailers }))
    stream.on('error', reject)
    stream.on('close', () => {
      session.destroy()
      const code = status['grpc-status']
      if (typeof code !== 'string') reject(new Error(`no status: ${show(status)}`))
      else resolve({ code, message: decodeURIComponent(status['grpc-message']?.toString() ?? '') })
    })
    stream.resume()
    stream.write(options.frame)
    if (options.end !== false) stream.end()
  })
}

/** Resident memory of a process, where the system tells it in a file. */
function residentBytes(pid: number): number | undefined {
  try {
    const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return kibibytes === undefined ? undefined : Number(kibibytes) * 1024
  } catch {
    return undefined // not Linux
  }
}
