import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import test from 'node:test'
import { Flag, FrameType, PREFACE, Setting } from './frames.ts'
import { HpackDecoder, HpackError } from './hpack/decoder.ts'
import { block, data, frame, headers, message, requestPairs, settings, uint32 } from './testing/raw-peer.ts'
import { startServer } from './testing/test-server.ts'

/** A generator of numbers below a bound (mulberry32): a failure names its seed, and the seed repeats it. */
function generator(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

function seeds(count: number): number[] {
  const given = process.env['FUZZ_SEED']
  return given === undefined ? Array.from({ length: count }, (_, i) => i) : [Number(given)]
}

void test('a header block of chance gives fields or an HpackError, and nothing else', () => {
  for (const seed of seeds(20_000)) {
    const random = generator(seed)
    const decoder = new HpackDecoder(16_384)
    for (let i = 0; i < 3; i++) {
      const bytes = Buffer.from(Array.from({ length: random(60) }, () => random(256)))
      try {
        decoder.decode(bytes, 0, bytes.length)
        assert.ok(decoder.table.size <= 4096)
      } catch (error) {
        assert.ok(error instanceof HpackError, `seed ${seed}: ${String(error)}`)
      }
    }
  }
})

/** A connection that begins well, with some of its bytes changed and some of its frames lost, doubled or invented. */
function conversation(random: (below: number) => number): Buffer[] {
  const pairs = block(...requestPairs('/test.Test/EchoStream'))
  const frames: Buffer[] = [frame(FrameType.Settings, 0, 0)]
  for (let i = 0; i < 20; i++) {
    const id = 1 + 2 * random(6)
    const choice = [
      () => headers(id, '/test.Test/Echo', random(4) === 0),
      () => headers(id, '/test.Test/EchoStream'),
      () => data(id, message(Buffer.alloc(random(2000))), random(2) === 0),
      () => data(id, message(Buffer.alloc(random(2000))).subarray(0, random(1000))),
      () => frame(FrameType.Headers, random(2) * Flag.EndHeaders, id, pairs),
      () => frame(FrameType.Continuation, random(2) * Flag.EndHeaders, id, Buffer.alloc(random(9), 0x82)),
      () => frame(FrameType.RstStream, 0, id, uint32(random(20))),
      () =>
        frame(
          FrameType.WindowUpdate,
          0,
          random(2) * id,
          uint32(random(3) === 0 ? random(2 ** 31) : random(5)),
        ),
      () => frame(FrameType.Settings, random(2), 0, settings([random(8), random(2 ** 31)])),
      () => frame(FrameType.Settings, 0, 0, settings([Setting.InitialWindowSize, random(100_000)])),
      () => frame(FrameType.Ping, random(2), 0, Buffer.alloc(8)),
      () => frame(FrameType.GoAway, 0, 0, uint32(random(9), random(14))),
      () =>
        frame(
          random(12),
          random(256),
          random(12),
          Buffer.from(Array.from({ length: random(40) }, () => random(256))),
        ),
    ]
    const made = choice[random(choice.length)]!()
    if (random(8) === 0) made[random(made.length)] = random(256)
    frames.push(made)
  }
  return frames
}

void test('no conversation breaks the server', async () => {
  const server = await startServer({ limits: { goAwayLingerMs: 20, sweepIntervalMs: 10 } })
  const client = server.client()
  for (const seed of seeds(600)) {
    const random = generator(seed)
    const bytes = Buffer.concat([PREFACE, ...conversation(random)])
    const socket = net.connect(server.port, '127.0.0.1')
    socket.on('error', () => undefined)
    socket.resume()
    for (let at = 0; at < bytes.length;) {
      const step = 1 + random(3000)
      socket.write(bytes.subarray(at, at + step))
      at += step
    }
    socket.end()
    await once(socket, 'close')
    if (seed % 50 === 0) assert.equal((await client.unary('/test.Test/Echo', Buffer.of(1))).length, 1)
  }
  while (server.server.stats.openConnections > 1) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(server.server.stats.openStreams, 0)
  await server.stop()
})
