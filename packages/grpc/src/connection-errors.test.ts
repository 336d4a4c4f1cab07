import assert from 'node:assert/strict'
import net from 'node:net'
import test, { after, before } from 'node:test'
import { ErrorCode, FrameType, Flag, PREFACE, Setting } from './frames.ts'
import {
  block,
  data,
  frame,
  headers,
  message,
  RawPeer,
  requestPairs,
  settings,
  uint32,
} from './testing/raw-peer.ts'
import { startServer, streaming, type TestServer } from './testing/test-server.ts'

let server: TestServer
const quick = { goAwayLingerMs: 50, sweepIntervalMs: 20 }

before(async () => {
  server = await startServer({ limits: quick })
})

after(() => server.stop())

const ECHO = '/test.Test/Echo'
const HANG = '/test.Test/Hang'

const hello = message('hello')
const { EndHeaders, EndStream, Padded, Priority, Ack } = Flag

function open(streamId: number, ...pairs: [string, string][]): Buffer {
  return frame(FrameType.Headers, EndHeaders, streamId, block(...requestPairs(HANG), ...pairs))
}

function request(pairs: (readonly [string, string])[], streamId = 1): Buffer {
  return frame(FrameType.Headers, EndHeaders, streamId, block(...pairs))
}

function without(name: string): (readonly [string, string])[] {
  return requestPairs(ECHO).filter(([field]) => field !== name)
}

interface ErrorRow {
  readonly name: string
  readonly send: Buffer[]
  readonly code: number
}

// ---- errors of the connection

const connectionErrors: ErrorRow[] = [
  { name: 'DATA on stream 0', send: [data(0, hello)], code: ErrorCode.ProtocolError },
  { name: 'DATA on an idle stream', send: [data(1, hello)], code: ErrorCode.ProtocolError },
  {
    name: 'DATA that is all padding and more',
    send: [headers(1, ECHO), frame(FrameType.Data, Padded, 1, Buffer.of(5, 1, 2, 3, 4))],
    code: ErrorCode.ProtocolError,
  },
  {
    name: 'padded DATA without its pad length',
    send: [headers(1, ECHO), frame(FrameType.Data, Padded, 1)],
    code: ErrorCode.FrameSizeError,
  },
  {
    name: 'a frame larger than SETTINGS_MAX_FRAME_SIZE',
    send: [headers(1, ECHO), data(1, Buffer.alloc(16_385))],
    code: ErrorCode.FrameSizeError,
  },
  { name: 'HEADERS on stream 0', send: [headers(0, ECHO)], code: ErrorCode.ProtocolError },
  { name: 'HEADERS on an even stream', send: [headers(2, ECHO)], code: ErrorCode.ProtocolError },
  {
    name: 'HEADERS on a stream id that was passed over',
    send: [headers(5, HANG), headers(3, HANG)],
    code: ErrorCode.ProtocolError,
  },
  {
    name: 'HEADERS with more padding than payload',
    send: [frame(FrameType.Headers, EndHeaders | Padded, 1, Buffer.of(9, 0x82))],
    code: ErrorCode.ProtocolError,
  },
  {
    name: 'padded HEADERS without their pad length',
    send: [frame(FrameType.Headers, EndHeaders | Padded, 1)],
    code: ErrorCode.FrameSizeError,
  },
  {
    name: 'HEADERS without their announced priority',
    send: [frame(FrameType.Headers, EndHeaders | Priority, 1, Buffer.of(0, 0, 0, 0))],
    code: ErrorCode.FrameSizeError,
  },
  {
    name: 'a header block that cannot be decoded',
    send: [frame(FrameType.Headers, EndHeaders, 1, Buffer.of(0x80))],
    code: ErrorCode.CompressionError,
  },
  {
    name: 'trailers that cannot be decoded',
    send: [headers(1, ECHO), frame(FrameType.Headers, EndHeaders | EndStream, 1, Buffer.of(0xff))],
    code: ErrorCode.CompressionError,
  },
  {
    name: 'a frame of another stream inside a header block',
    send: [frame(FrameType.Headers, 0, 1, block(...requestPairs(ECHO))), headers(3, ECHO)],
    code: ErrorCode.ProtocolError,
  },
  {
    name: 'a frame of the connection inside a header block',
    send: [frame(FrameType.Headers, 0, 1), frame(FrameType.Ping, 0, 0, Buffer.alloc(8))],
    code: ErrorCode.ProtocolError,
  },
  {
    name: 'an unknown frame inside a header block',
    send: [frame(FrameType.Headers, 0, 1), frame(0x42, 0, 1)],
    code: ErrorCode.ProtocolError,
  },
  {
    name: 'CONTINUATION of another stream',
    send: [frame(FrameType.Headers, 0, 1), frame(FrameType.Continuation, EndHeaders, 3)],
    code: ErrorCode.ProtocolError,
  },
  {
    name: 'CONTINUATION without HEADERS',
    send: [frame(FrameType.Continuation, EndHeaders, 1)],
    code: ErrorCode.ProtocolError,
  },
  {
    name: 'CONTINUATION behind a complete block',
    send: [headers(1, ECHO), frame(FrameType.Continuation, EndHeaders, 1)],
    code: ErrorCode.ProtocolError,
  },
  {
    name: 'PRIORITY on stream 0',
    send: [frame(FrameType.Priority, 0, 0, Buffer.alloc(5))],
    code: ErrorCode.ProtocolError,
  },
  {
    name: 'PRIORITY of an idle stream on itself',
    send: [frame(FrameType.Priority, 0, 1, Buffer.of(0, 0, 0, 1, 0))],
    code: ErrorCode.ProtocolError,
  },
  {
    name: 'RST_STREAM on stream 0',
    send: [frame(FrameType.RstStream, 0, 0, uint32(8))],
    code: ErrorCode.ProtocolError,
  },
  {
    name: 'RST_STREAM on an idle stream',
    send: [frame(FrameType.RstStream, 0, 1, uint32(8))],
    code: ErrorCode.ProtocolError,
  },
  {
    name: 'RST_STREAM of five bytes',
    send: [headers(1, HANG), frame(FrameType.RstStream, 0, 1, Buffer.alloc(5))],
    code: ErrorCode.FrameSizeError,
  },
  {
    name: 'SETTINGS on a stream',
    send: [frame(FrameType.Settings, 0, 1)],
    code: ErrorCode.ProtocolError,
  },
  {
    name: 'SETTINGS of five bytes',
    send: [frame(FrameType.Settings, 0, 0, Buffer.alloc(5))],
    code: ErrorCode.FrameSizeError,
  },
  {
    name: 'a SETTINGS acknowledgement with content',
    send: [frame(FrameType.Settings, Ack, 0, Buffer.alloc(6))],
    code: ErrorCode.FrameSizeError,
  },
  {
    name: 'SETTINGS_ENABLE_PUSH of 2',
    send: [frame(FrameType.Settings, 0, 0, settings([Setting.EnablePush, 2]))],
    code: ErrorCode.ProtocolError,
  },
  {
    name: 'SETTINGS_INITIAL_WINDOW_SIZE of 2^31',
    send: [frame(FrameType.Settings, 0, 0, settings([Setting.InitialWindowSize, 2 ** 31]))],
    code: ErrorCode.FlowControlError,
  },
  {
    name: 'SETTINGS_MAX_FRAME_SIZE below 16,384',
    send: [frame(FrameType.Settings, 0, 0, settings([Setting.MaxFrameSize, 16_383]))],
    code: ErrorCode.ProtocolError,
  },
  {
    name: 'SETTINGS_MAX_FRAME_SIZE of 2^24',
    send: [frame(FrameType.Settings, 0, 0, settings([Setting.MaxFrameSize, 2 ** 24]))],
    code: ErrorCode.ProtocolError,
  },
  {
    name: 'an initial window that overflows the window of an open stream',
    send: [
      headers(1, HANG),
      frame(FrameType.WindowUpdate, 0, 1, uint32(2 ** 31 - 1 - 65_535)),
      frame(FrameType.Settings, 0, 0, settings([Setting.InitialWindowSize, 65_536])),
    ],
    code: ErrorCode.FlowControlError,
  },
  {
    name: 'PUSH_PROMISE',
    send: [headers(1, HANG), frame(FrameType.PushPromise, EndHeaders, 1, uint32(2))],
    code: ErrorCode.ProtocolError,
  },
  {
    name: 'PING of six bytes',
    send: [frame(FrameType.Ping, 0, 0, Buffer.alloc(6))],
    code: ErrorCode.FrameSizeError,
  },
  {
    name: 'PING on a stream',
    send: [frame(FrameType.Ping, 0, 1, Buffer.alloc(8))],
    code: ErrorCode.ProtocolError,
  },
  {
    name: 'GOAWAY on a stream',
    send: [frame(FrameType.GoAway, 0, 1, Buffer.alloc(8))],
    code: ErrorCode.ProtocolError,
  },
  {
    name: 'GOAWAY of four bytes',
    send: [frame(FrameType.GoAway, 0, 0, Buffer.alloc(4))],
    code: ErrorCode.FrameSizeError,
  },
  {
    name: 'WINDOW_UPDATE of the connection by 0',
    send: [frame(FrameType.WindowUpdate, 0, 0, uint32(0))],
    code: ErrorCode.ProtocolError,
  },
  {
    name: 'WINDOW_UPDATE of three bytes',
    send: [frame(FrameType.WindowUpdate, 0, 0, Buffer.alloc(3))],
    code: ErrorCode.FrameSizeError,
  },
  {
    name: 'WINDOW_UPDATE on an idle stream',
    send: [frame(FrameType.WindowUpdate, 0, 1, uint32(1))],
    code: ErrorCode.ProtocolError,
  },
  {
    name: 'a connection window beyond 2^31 - 1',
    send: [frame(FrameType.WindowUpdate, 0, 0, uint32(2 ** 31 - 1))],
    code: ErrorCode.FlowControlError,
  },
]

for (const { name, send, code } of connectionErrors)
  void test(`${name} ends the connection`, async () => {
    const peer = await RawPeer.connect(server.port)
    peer.send(...send)
    assert.equal((await peer.failure()).code, code)
  })

void test('HEADERS on a stream that has ended end the connection with STREAM_CLOSED', async () => {
  const peer = await RawPeer.connect(server.port)
  peer.send(headers(1, ECHO), data(1, hello, true))
  await peer.next((f) => f.streamId === 1 && (f.flags & EndStream) !== 0)
  peer.send(headers(1, ECHO))
  assert.deepEqual(await peer.failure(), {
    lastStreamId: 1,
    code: ErrorCode.StreamClosed,
    debug: 'HEADERS on a closed stream',
  })
})

void test('DATA beyond the connection window ends the connection', async () => {
  const small = await startServer({
    limits: { ...quick, connectionWindowBytes: 65_535, connectionHighWaterBytes: 0 },
  })
  const peer = await RawPeer.connect(small.port, [Setting.InitialWindowSize, 0])
  // The first answer cannot leave, so the second request is held, and with it the connection's window.
  for (const id of [1, 3]) peer.send(headers(id, ECHO), data(id, hello, true))
  peer.send(headers(5, HANG))
  for (let i = 0; i < 4; i++) peer.send(data(5, Buffer.alloc(16_384)))
  assert.equal((await peer.failure()).code, ErrorCode.FlowControlError)
  await small.stop()
})

// ---- errors of a stream: the connection goes on

const streamErrors: ErrorRow[] = [
  {
    name: 'DATA behind END_STREAM',
    send: [headers(1, HANG), data(1, hello, true), data(1, hello)],
    code: ErrorCode.StreamClosed,
  },
  {
    name: 'HEADERS behind END_STREAM',
    send: [headers(1, HANG), data(1, hello, true), headers(1, HANG, true)],
    code: ErrorCode.StreamClosed,
  },
  {
    name: 'DATA behind RST_STREAM',
    send: [headers(1, HANG), frame(FrameType.RstStream, 0, 1, uint32(8)), data(1, hello)],
    code: ErrorCode.StreamClosed,
  },
  {
    name: 'PRIORITY of a stream on itself',
    send: [headers(1, HANG), frame(FrameType.Priority, 0, 1, Buffer.of(0, 0, 0, 1, 0))],
    code: ErrorCode.ProtocolError,
  },
  {
    name: 'PRIORITY of four bytes',
    send: [headers(1, HANG), frame(FrameType.Priority, 0, 1, Buffer.alloc(4))],
    code: ErrorCode.FrameSizeError,
  },
  {
    name: 'HEADERS of a stream that depends on itself',
    send: [
      frame(
        FrameType.Headers,
        EndHeaders | Priority,
        1,
        Buffer.concat([Buffer.of(0, 0, 0, 1, 0), block(...requestPairs(ECHO))]),
      ),
    ],
    code: ErrorCode.ProtocolError,
  },
  {
    name: 'WINDOW_UPDATE of a stream by 0',
    send: [headers(1, HANG), frame(FrameType.WindowUpdate, 0, 1, uint32(0))],
    code: ErrorCode.ProtocolError,
  },
  {
    name: 'a stream window beyond 2^31 - 1',
    send: [headers(1, HANG), frame(FrameType.WindowUpdate, 0, 1, uint32(2 ** 31 - 1))],
    code: ErrorCode.FlowControlError,
  },
  {
    name: 'trailers without END_STREAM',
    send: [headers(1, HANG), frame(FrameType.Headers, EndHeaders, 1, block(['x', 'y']))],
    code: ErrorCode.ProtocolError,
  },
  {
    name: 'trailers with a pseudo header',
    send: [headers(1, HANG), frame(FrameType.Headers, EndHeaders | EndStream, 1, block([':path', '/']))],
    code: ErrorCode.ProtocolError,
  },
  { name: 'a request without :method', send: [request(without(':method'))], code: ErrorCode.ProtocolError },
  { name: 'a request without :scheme', send: [request(without(':scheme'))], code: ErrorCode.ProtocolError },
  { name: 'a request without :path', send: [request(without(':path'))], code: ErrorCode.ProtocolError },
  {
    name: 'a request with an empty :path',
    send: [request([[':path', ''], ...without(':path')])],
    code: ErrorCode.ProtocolError,
  },
  ...[':method', ':scheme', ':path', ':authority'].map((name) => ({
    name: `a request with two ${name}`,
    send: [request([requestPairs(ECHO).find(([field]) => field === name)!, ...requestPairs(ECHO)])],
    code: ErrorCode.ProtocolError,
  })),
  {
    name: 'a request with :status',
    send: [request([[':status', '200'], ...requestPairs(ECHO)])],
    code: ErrorCode.ProtocolError,
  },
  {
    name: 'a request with an unknown pseudo header',
    send: [request([[':nonsense', 'x'], ...requestPairs(ECHO)])],
    code: ErrorCode.ProtocolError,
  },
  {
    name: 'a pseudo header behind a regular one',
    send: [request([...without(':path'), [':path', ECHO]])],
    code: ErrorCode.ProtocolError,
  },
  { name: 'an upper-case header name', send: [open(1, ['X-Upper', 'x'])], code: ErrorCode.ProtocolError },
  { name: 'an empty header name', send: [open(1, ['', 'x'])], code: ErrorCode.ProtocolError },
  { name: 'a blank in a header name', send: [open(1, ['a b', 'x'])], code: ErrorCode.ProtocolError },
  { name: 'a line end in a header value', send: [open(1, ['a', 'x\r\ny'])], code: ErrorCode.ProtocolError },
  { name: 'a zero byte in a header value', send: [open(1, ['a', 'x\0y'])], code: ErrorCode.ProtocolError },
  { name: 'a blank before a header value', send: [open(1, ['a', ' x'])], code: ErrorCode.ProtocolError },
  ...['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'].map((name) => ({
    name: `the header ${name}`,
    send: [open(1, [name, 'x'])],
    code: ErrorCode.ProtocolError,
  })),
  {
    name: 'te that is not trailers',
    send: [request([...without('te'), ['te', 'gzip']])],
    code: ErrorCode.ProtocolError,
  },
  {
    name: 'less DATA than content-length',
    send: [open(1, ['content-length', '11']), data(1, hello, true)],
    code: ErrorCode.ProtocolError,
  },
  {
    name: 'more DATA than content-length',
    send: [open(1, ['content-length', '9']), data(1, hello, true)],
    code: ErrorCode.ProtocolError,
  },
  {
    name: 'no DATA in spite of content-length',
    send: [
      frame(
        FrameType.Headers,
        EndHeaders | EndStream,
        1,
        block(...requestPairs(ECHO), ['content-length', '1']),
      ),
    ],
    code: ErrorCode.ProtocolError,
  },
  {
    name: 'trailers before the end of content-length',
    send: [
      open(1, ['content-length', '12']),
      data(1, hello),
      frame(FrameType.Headers, EndHeaders | EndStream, 1, block(['x', 'y'])),
    ],
    code: ErrorCode.ProtocolError,
  },
  {
    name: 'a content-length that is no number',
    send: [open(1, ['content-length', '1x'])],
    code: ErrorCode.ProtocolError,
  },
  {
    name: 'two content-lengths that differ',
    send: [open(1, ['content-length', '10'], ['content-length', '11'])],
    code: ErrorCode.ProtocolError,
  },
]

for (const { name, send, code } of streamErrors)
  void test(`${name} resets the stream`, async () => {
    const peer = await RawPeer.connect(server.port)
    peer.send(...send)
    assert.equal(await peer.reset(1), code)
    peer.send(headers(3, ECHO), data(3, hello, true))
    assert.equal((await peer.type(FrameType.Data, 3)).payload.toString(), hello.toString())
    peer.destroy()
  })

void test('DATA beyond the window of a stream resets it', async () => {
  const paused = await startServer({
    services: streaming((call) => call.pause(true)),
    limits: { ...quick, streamWindowBytes: 65_535 },
  })
  const peer = await RawPeer.connect(paused.port)
  peer.send(headers(1, '/test.Test/Do'))
  for (let i = 0; i < 4; i++) peer.send(data(1, Buffer.alloc(16_384)))
  assert.equal(await peer.reset(1), ErrorCode.FlowControlError)
  peer.destroy()
  await paused.stop()
})

// ---- what must be ignored

const harmless: { name: string; send: Buffer[] }[] = [
  { name: 'an unknown frame type', send: [frame(0x42, 0xff, 0, Buffer.from('what')), frame(0x43, 0, 77)] },
  { name: 'an unknown setting', send: [frame(FrameType.Settings, 0, 0, settings([0x99, 7], [0, 1]))] },
  { name: 'unknown flags', send: [frame(FrameType.Ping, 0xfe, 0, Buffer.alloc(8))] },
  { name: 'PRIORITY of an idle stream', send: [frame(FrameType.Priority, 0, 9, Buffer.of(0, 0, 0, 3, 9))] },
  {
    name: 'WINDOW_UPDATE and RST_STREAM behind the end of a stream',
    send: [
      headers(1, ECHO),
      data(1, hello, true),
      frame(FrameType.WindowUpdate, 0, 1, uint32(5)),
      frame(FrameType.RstStream, 0, 1, uint32(8)),
    ],
  },
  {
    name: 'the reserved bit of a stream id',
    send: [
      frame(FrameType.Headers, EndHeaders, 0x8000_0001, block(...requestPairs(ECHO))),
      data(0x8000_0001, hello, true),
    ],
  },
  { name: 'an unanswered acknowledgement', send: [frame(FrameType.Settings, Ack, 0)] },
  { name: 'GOAWAY', send: [frame(FrameType.GoAway, 0, 0, uint32(0, 0))] },
]

for (const { name, send } of harmless)
  void test(`${name} is ignored`, async () => {
    const peer = await RawPeer.connect(server.port)
    peer.send(...send, headers(3, ECHO), data(3, hello, true))
    assert.equal((await peer.type(FrameType.Data, 3)).payload.toString(), hello.toString())
    peer.destroy()
  })

void test('padding and priority are stripped, and CONTINUATION joined, however the bytes are cut', async () => {
  const pairs = block(...requestPairs(ECHO))
  const bytes = Buffer.concat([
    PREFACE,
    frame(FrameType.Settings, 0, 0),
    frame(
      FrameType.Headers,
      Padded | Priority,
      1,
      Buffer.concat([Buffer.of(3, 0, 0, 0, 0, 7), pairs.subarray(0, 10), Buffer.alloc(3)]),
    ),
    frame(FrameType.Continuation, 0, 1, pairs.subarray(10, 11)),
    frame(FrameType.Continuation, EndHeaders, 1, pairs.subarray(11)),
    frame(FrameType.Data, Padded, 1, Buffer.concat([Buffer.of(4), hello.subarray(0, 7), Buffer.alloc(4)])),
    frame(FrameType.Data, Padded | EndStream, 1, Buffer.concat([Buffer.of(0), hello.subarray(7)])),
  ])
  for (const step of [1, 2, 7, 8, 9, 10, 30, 1000]) {
    const split = new RawPeer(net.connect(server.port, '127.0.0.1'))
    split.socket.setNoDelay(true)
    for (let at = 0; at < bytes.length; at += step)
      await new Promise((resolve) => split.socket.write(bytes.subarray(at, at + step), resolve))
    assert.equal((await split.type(FrameType.Data, 1)).payload.toString(), hello.toString())
    split.destroy()
  }
})

for (const { name, bytes } of [
  { name: 'another preface', bytes: Buffer.from('PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n') },
  { name: 'an HTTP/1.1 request', bytes: Buffer.from('GET / HTTP/1.1\r\n\r\n') },
  {
    name: 'PING before SETTINGS',
    bytes: Buffer.concat([PREFACE, frame(FrameType.Ping, 0, 0, Buffer.alloc(8))]),
  },
  {
    name: 'an acknowledgement before SETTINGS',
    bytes: Buffer.concat([PREFACE, frame(FrameType.Settings, Ack, 0)]),
  },
])
  void test(`${name} at the beginning ends the connection`, async () => {
    const peer = new RawPeer(net.connect(server.port, '127.0.0.1'))
    peer.send(bytes)
    assert.equal((await peer.failure()).code, ErrorCode.ProtocolError)
  })
