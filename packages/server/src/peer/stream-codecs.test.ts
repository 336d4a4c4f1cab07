import assert from 'node:assert/strict'
import test from 'node:test'
import { raftpb } from '@etcd-ts/api'
import { type Entry, type Message, MessageType, newMessage } from '@etcd-ts/raft'
import { SeededRandom } from '@etcd-ts/testkit'
import { AppendDecoder, AppendEncoder, messageSizeBound } from './append-stream.ts'
import { FrameBuffer } from './frame-buffer.ts'
import { ProtocolError } from './message-check.ts'
import { MessageDecoder, MessageEncoder } from './message-stream.ts'

const LEADER = 0x6e4ddde757677b80n
const FOLLOWER = 0xd8f1851d516421d7n

// Recorded from a real etcd 3.4.23 that led a 3.5.9: the beginnings of its two streams.
const recordedAppends = Buffer.from(
  `
020000000000000037080310d7c3908bd5a3e1f8d8011880f79dbbf5bcf7a66e2002280130023a0608001002180340024a0a12080a02280010001800
50005800010000000000000002000000000000008d0800100218042284010881d29dbae5c0a8c07b12035055541a262f302f6d656d626572732f3665
34646464653735373637376238302f6174747269627574657322347b226e616d65223a2261222c22636c69656e7455524c73223a5b22687474703a2f
2f3132372e302e302e313a3231313132225d7d2800320038004800500058006000680070007800800100000000000000008d08001002180522840108
818e9ebae5c0e8eb2112035055541a262f302f6d656d626572732f643866313835316435313634323164372f6174747269627574657322347b226e61
6d65223a2262222c22636c69656e7455524c73223a5b22687474703a2f2f3132372e302e302e313a3231313232225d7d280032003800480050005800
600068007000780080010000000000000000030100000000000000000000000000000005010000000000000001000000000000004108001002180622
390884d29dbae5c0a8c07b12035055541a0a2f302f76657273696f6e2205332e342e3028003200380048005000580060006800700078008001000000
000000000005010000000000000000000000000000000600`.replaceAll('\n', ''),
  'hex',
)
const recordedMessages = Buffer.from(
  `
000000000000002f080510d7c3908bd5a3e1f8d8011880f79dbbf5bcf7a66e20022801300240004a0a12080a02280010001800500058000000000000
00002f080810d7c3908bd5a3e1f8d8011880f79dbbf5bcf7a66e20022800300040064a0a12080a0228001000180050005800000000000000002f0808
10d7c3908bd5a3e1f8d8011880f79dbbf5bcf7a66e20022800300040064a0a12080a0228001000180050005800000000000000001e08081000180020
002800300040004a0a12080a0228001000180050005800000000000000002f080810d7c3908bd5a3e1f8d8011880f79dbbf5bcf7a66e200228003000
40064a0a12080a0228001000180050005800000000000000002f080810d7c3908bd5a3e1f8d8011880f79dbbf5bcf7a66e20022800300040064a0a12
080a0228001000180050005800`.replaceAll('\n', ''),
  'hex',
)

function decodeAppends(bytes: Uint8Array, chunkBytes = bytes.length): Message[] {
  const messages: Message[] = []
  const decoder = new AppendDecoder(FOLLOWER, LEADER, (message) => messages.push(message))
  for (let at = 0; at < bytes.length; at += chunkBytes) decoder.push(bytes.slice(at, at + chunkBytes))
  return messages
}

function decodeMessages(bytes: Uint8Array, chunkBytes = bytes.length): Message[] {
  const messages: Message[] = []
  const decoder = new MessageDecoder((message) => messages.push(message))
  for (let at = 0; at < bytes.length; at += chunkBytes) decoder.push(bytes.slice(at, at + chunkBytes))
  return messages
}

/** The frames of the next chunk, and what was around them. */
function take(buffer: FrameBuffer): { frames: Buffer; head: string; tail: string } {
  const sizeBytes = buffer.sizeBytes
  const chunk = Buffer.concat(buffer.takeChunk())
  const frames = chunk.subarray(10, -2)
  assert.equal(frames.length, sizeBytes)
  return {
    frames,
    head: chunk.toString('latin1', 0, 10),
    tail: chunk.toString('latin1', chunk.length - 2),
  }
}

function encodeAppends(messages: readonly Message[]): Buffer {
  const encoder = new AppendEncoder()
  const buffer = new FrameBuffer()
  for (const message of messages) encoder.encode(message, buffer)
  return take(buffer).frames
}

const summary = ({ type, to, from, term, logTerm, index, entries, commit }: Message): unknown => ({
  type,
  to,
  from,
  term,
  logTerm,
  index,
  commit,
  entries: entries.map((entry) => [entry.term, entry.index]),
})

void test('the recorded stream of appends says what it said to the other member', () => {
  const common = { type: MessageType.MsgApp, to: FOLLOWER, from: LEADER, term: 2 }
  const expected = [
    { ...common, logTerm: 1, index: 2, commit: 2, entries: [[2, 3]] },
    { ...common, logTerm: 2, index: 3, commit: 3, entries: [[2, 4], [2, 5]] }, // prettier-ignore
    { ...common, logTerm: 2, index: 5, commit: 5, entries: [] },
    { ...common, logTerm: 2, index: 5, commit: 5, entries: [[2, 6]] },
    { ...common, logTerm: 2, index: 6, commit: 6, entries: [] },
  ]
  for (const chunkBytes of [recordedAppends.length, 1, 2, 3, 7, 64, 100]) {
    assert.deepEqual(decodeAppends(recordedAppends, chunkBytes).map(summary), expected)
  }
  assert.equal(decodeAppends(recordedAppends)[0]?.entries[0]?.data, undefined)
})

void test('the recorded appends are encoded to the recorded bytes', () => {
  const encoder = new AppendEncoder()
  const buffer = new FrameBuffer()
  for (const message of decodeAppends(recordedAppends)) encoder.encode(message, buffer)
  encoder.linkHeartbeat(buffer)
  const { frames, head, tail } = take(buffer)
  assert.equal(frames.toString('hex'), recordedAppends.toString('hex'))
  assert.equal(Number.parseInt(head, 16), recordedAppends.length)
  assert.match(head, /^[0-9a-f]{8}\r\n$/)
  assert.equal(tail, '\r\n')
})

void test('the recorded stream of messages says what it said to the other member', () => {
  const common = { to: FOLLOWER, from: LEADER, term: 2, entries: [] }
  const heartbeat = { ...common, type: MessageType.MsgHeartbeat, logTerm: 0, index: 0, commit: 6 }
  const vote = { ...common, type: MessageType.MsgVote, logTerm: 1, index: 2, commit: 0 }
  for (const chunkBytes of [recordedMessages.length, 1, 2, 3, 7, 64]) {
    assert.deepEqual(decodeMessages(recordedMessages, chunkBytes).map(summary), [
      vote,
      heartbeat,
      heartbeat,
      heartbeat,
      heartbeat,
    ])
  }
})

void test('the recorded messages are encoded to the recorded bytes', () => {
  const encoder = new MessageEncoder()
  const buffer = new FrameBuffer()
  for (const [i, message] of decodeMessages(recordedMessages).entries()) {
    if (i === 3) encoder.linkHeartbeat(buffer)
    encoder.encode(message, buffer)
  }
  assert.equal(take(buffer).frames.toString('hex'), recordedMessages.toString('hex'))
})

void test('a link heartbeat of a newer version, without snapshot and with a vote of nobody, is one', () => {
  const body = '08081000180020002800300040005000580068 00'.replaceAll(' ', '')
  const size = (body.length / 2).toString(16).padStart(16, '0')
  assert.deepEqual(decodeMessages(Buffer.from(size + body, 'hex')), [])
})

function append(index: number, logTerm: number, term: number, sizes: readonly number[]): Message {
  const message = newMessage(MessageType.MsgApp, FOLLOWER)
  message.from = LEADER
  message.index = index
  message.logTerm = logTerm
  message.term = term
  message.commit = index
  message.entries = sizes.map((size, i): Entry => {
    const data = size === 0 ? undefined : Buffer.alloc(size, index + i)
    return { type: 0, term, index: index + 1 + i, data }
  })
  return message
}

void test('appends of all sizes survive any way of cutting them into chunks', () => {
  const random = new SeededRandom(7)
  const sent: Message[] = []
  let index = 10
  let lastTerm = 1
  for (let i = 0; i < 60; i++) {
    const term = i % 20 === 0 ? lastTerm + 1 : lastTerm
    const sizes = Array.from({ length: random.below(5) }, () =>
      random.below(10) === 0 ? 20_000 + random.below(100_000) : random.below(300),
    )
    sent.push(append(index, lastTerm, term, sizes))
    index += sizes.length
    if (sizes.length > 0) lastTerm = term
    if (i % 17 === 3) index -= Math.min(index, sizes.length)
  }
  const bytes = encodeAppends(sent)
  for (const chunkBytes of [bytes.length, 64 * 1024, 4096, 1000, 17]) {
    assert.deepEqual(decodeAppends(bytes, chunkBytes).map(plain), sent.map(plain))
  }
  for (const message of sent) assert.ok(encodeAppends([message]).length <= messageSizeBound(message) + 64)
})

function plain(message: Message): unknown {
  return Buffer.from(raftpb.Message.encode(message)).toString('hex')
}

void test('a taken chunk stays as it is while the next one is collected', () => {
  const encoder = new AppendEncoder()
  const buffer = new FrameBuffer()
  const chunks: Uint8Array[] = []
  const copies: Buffer[] = []
  for (let i = 0; i < 300; i++) {
    encoder.encode(append(i, 1, 1, [500]), buffer)
    const chunk = Buffer.concat(buffer.takeChunk())
    copies.push(Buffer.from(chunk))
    encoder.encode(append(i, 1, 1, [900, 30_000]), buffer)
    const [first = new Uint8Array(0)] = buffer.takeChunk()
    chunks.push(first)
    copies.push(Buffer.from(first))
  }
  for (const [i, chunk] of chunks.entries()) assert.deepEqual(Buffer.from(chunk), copies[2 * i + 1])
  buffer.recycle()
  assert.equal(buffer.sizeBytes, 0)
})

const frame = (message: Partial<Message>): Buffer => {
  const body = raftpb.Message.encode({ ...append(5, 1, 1, [1]), ...message })
  const head = Buffer.alloc(9)
  head[0] = 2
  head.writeUInt32BE(body.length, 5)
  return Buffer.concat([head, body])
}
const termOf2To56 = Buffer.from('02000000000000000b0803208080808080808080 01'.replace(' ', ''), 'hex')

for (const { name, bytes } of [
  { name: 'an unknown kind', bytes: Buffer.from([3]) },
  { name: 'a message of 1 GiB', bytes: Buffer.from('020000000040000000', 'hex') },
  { name: 'a message of 2^64 - 1 bytes', bytes: Buffer.from('02ffffffffffffffff', 'hex') },
  { name: '2^40 entries', bytes: Buffer.from('010000010000000000', 'hex') },
  { name: 'an entry of 1 GiB', bytes: Buffer.from('0100000000000000010000000040000000', 'hex') },
  { name: 'a message that is none', bytes: Buffer.from('020000000000000003ffffff', 'hex') },
  { name: 'a truncated message', bytes: Buffer.from('02000000000000000208', 'hex').subarray(0, 9) },
  { name: 'an entry that is none', bytes: Buffer.from('0100000000000000010000000000000001ff', 'hex') },
  { name: 'an entry of another index', bytes: Buffer.from('010000000000000001000000000000000608001000180500000000000000ff', 'hex') }, // prettier-ignore
  { name: 'a commit index above 2^53', bytes: Buffer.from('010000000000000000ffffffffffffffff', 'hex') },
  { name: 'a term above 2^53', bytes: termOf2To56 },
  { name: 'another type', bytes: frame({ type: MessageType.MsgHeartbeat }) },
  { name: 'a message of nobody', bytes: frame({ from: 0n }) },
  { name: 'a message of the local log', bytes: frame({ from: 0xffff_ffff_ffff_ffffn }) },
  { name: 'a message of the local state machine', bytes: frame({ from: 0xffff_ffff_ffff_fffen }) },
  { name: 'a vote', bytes: frame({ vote: 1n }) },
  { name: 'responses', bytes: frame({ responses: [append(1, 1, 1, [])] }) },
  { name: 'a gap before the entries', bytes: frame({ index: 4 }) },
  { name: 'entries of a later term than the message', bytes: frame({ term: 0 }) },
  { name: 'entries of an earlier term than the one before', bytes: frame({ logTerm: 2 }) },
]) {
  void test(`a stream of appends with ${name} is given up`, () => {
    if (name === 'a truncated message') assert.deepEqual(decodeAppends(bytes), [])
    else assert.throws(() => decodeAppends(bytes), ProtocolError)
  })
}

void test('a stream of messages refuses what members do not send to each other', () => {
  const refused = [0, 1, 7, 10, 11, 12, 19, 20, 21, 22, 23]
  for (const type of Object.values(MessageType)) {
    const bytes = frame({ type }).subarray(1)
    if (refused.includes(type)) assert.throws(() => decodeMessages(bytes), ProtocolError, `type ${type}`)
    else assert.equal(decodeMessages(bytes).length, 1, `type ${type}`)
  }
  const unknownType = Buffer.from('0000000000000006081810011802', 'hex')
  assert.throws(() => decodeMessages(unknownType), ProtocolError)
  assert.throws(() => decodeMessages(Buffer.from('0000000020000001', 'hex')), ProtocolError)
})

void test('random bytes never do more than end the stream', () => {
  const random = new SeededRandom(11)
  for (let round = 0; round < 3000; round++) {
    const bytes = Buffer.from(recordedAppends)
    for (let i = 0; i <= random.below(4); i++) bytes[random.below(bytes.length)] = random.below(256)
    const other = Buffer.from(recordedMessages)
    for (let i = 0; i <= random.below(4); i++) other[random.below(other.length)] = random.below(256)
    for (const run of [() => decodeAppends(bytes, 50), () => decodeMessages(other, 50)]) {
      try {
        run()
      } catch (error) {
        assert.ok(error instanceof ProtocolError, String(error))
      }
    }
  }
})
