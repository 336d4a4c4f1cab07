// Nanoseconds per message of the codecs on the hot paths: node benchmarks/api.mjs [name part]
import { etcdserverpb as pb, raftpb } from '../packages/api/dist/index.js'

const key = Buffer.from('/registry/pods/default/web-7c5ddbdf54-x2x9k')
const value = Buffer.alloc(256, 0x61)
const lease = 0x2362_a206_55c0_1808n
const header = {
  clusterId: 0xcdf8_1818_e372_59bcn,
  memberId: 0x8e9e_05c5_2164_694dn,
  revision: 123_456,
  raftTerm: 7,
}
const kv = { key, value, createRevision: 120_000, modRevision: 123_456, version: 17, lease: 0n }

const putBytes = pb.PutRequest.encode({ key, value })
const putLeaseBytes = pb.PutRequest.encode({ key, value, lease })
const rangeBytes = pb.RangeRequest.encode({ key, serializable: true })
const internalPut = { header: { ID: lease }, put: pb.PutRequest.decode(putBytes) }
const internalBytes = pb.InternalRaftRequest.encode(internalPut)
const entry = { type: 0, term: 7, index: 123_456, data: internalBytes }
const entryBytes = raftpb.Entry.encode(entry)
const message = raftpb.Message.create({
  type: raftpb.MessageType.MsgApp,
  to: header.memberId,
  from: header.clusterId,
  term: 7,
  logTerm: 7,
  index: 123_455,
  entries: [entry],
  commit: 123_450,
})
const messageBytes = raftpb.Message.encode(message)
const rangeResponse = { header, kvs: [kv], count: 1 }
const rangeResponse100 = { header, kvs: Array.from({ length: 100 }, () => kv), count: 100 }
const rangeResponseBytes = pb.RangeResponse.encode(rangeResponse)
const txn = {
  compare: [{ result: 0, target: 2, key, targetUnion: { case: 'modRevision', value: 123_456n } }],
  success: [{ request: { case: 'requestPut', value: { key, value } } }],
  failure: [{ request: { case: 'requestRange', value: { key } } }],
}
const txnBytes = pb.TxnRequest.encode(txn)
const out = new Uint8Array(65_536)

const write = (codec, message) => () => {
  const size = codec.encodedSize(message)
  return codec.write(message, out, 0) - size
}

const cases = {
  'PutRequest decode': () => pb.PutRequest.decode(putBytes),
  'PutRequest with lease decode': () => pb.PutRequest.decode(putLeaseBytes),
  'RangeRequest decode': () => pb.RangeRequest.decode(rangeBytes),
  'TxnRequest decode': () => pb.TxnRequest.decode(txnBytes),
  'PutResponse size and write': write(pb.PutResponse, { header, prevKv: undefined }),
  'PutResponse encode': () => pb.PutResponse.encode({ header }),
  'RangeResponse of 1 size and write': write(pb.RangeResponse, rangeResponse),
  'RangeResponse of 100 size and write': write(pb.RangeResponse, rangeResponse100),
  'RangeResponse of 1 decode': () => pb.RangeResponse.decode(rangeResponseBytes),
  'InternalRaftRequest of a put size and write': write(pb.InternalRaftRequest, internalPut),
  'InternalRaftRequest of a put encode': () => pb.InternalRaftRequest.encode(internalPut),
  'InternalRaftRequest of a put decode': () => pb.InternalRaftRequest.decode(internalBytes),
  'Entry size and write': write(raftpb.Entry, entry),
  'Entry decode': () => raftpb.Entry.decode(entryBytes),
  'Message of one entry size and write': write(raftpb.Message, message),
  'Message of one entry decode': () => raftpb.Message.decode(messageBytes),
}

let sink
function measure(work, count) {
  const start = process.hrtime.bigint()
  for (let i = 0; i < count; i++) sink = work()
  return Number(process.hrtime.bigint() - start) / count
}

const wanted = process.argv[2] ?? ''
for (const [name, work] of Object.entries(cases)) {
  if (!name.includes(wanted)) continue
  measure(work, 100_000)
  const rounds = Array.from({ length: 5 }, () => measure(work, 100_000)).sort((a, b) => a - b)
  process.stdout.write(`${name.padEnd(46)} ${rounds[2].toFixed(0).padStart(6)} ns\n`)
}
if (sink === undefined) process.exitCode = 1
