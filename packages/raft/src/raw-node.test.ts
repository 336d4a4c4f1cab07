import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryStorage } from './memory-storage.ts'
import {
  EntryType,
  LOCAL_APPEND_THREAD,
  type Message,
  MessageType,
  emptyConfState,
  newEntry,
  newMessage,
} from './messages.ts'
import { RaftConfigError, type RaftConfig } from './raft-config.ts'
import { RawNode } from './raw-node.ts'
import { refusalText } from './refusal.ts'
import { CalmGroup } from './simulation/calm-group.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const texts = (entries: readonly { data: Uint8Array | undefined }[]): string[] => {
  return entries.map(({ data }) => new TextDecoder().decode(data))
}

const asyncNode = (storage: MemoryStorage, options: Partial<RaftConfig> = {}): RawNode => {
  return new RawNode({
    id: 1n,
    electionTicks: 10,
    heartbeatTicks: 1,
    storage,
    random: { below: () => 0 },
    asyncStorageWrites: true,
    ...options,
  })
}

/** Takes all Readys and writes what they say to memory; what the disk has to confirm is returned. */
function drain(node: RawNode, storage: MemoryStorage, applied: string[]): Message[] {
  const unconfirmed: Message[] = []
  while (node.hasReady()) {
    for (const message of node.ready().messages) {
      if (message.to === LOCAL_APPEND_THREAD) {
        storage.append(message.entries)
        unconfirmed.push(...message.responses)
      } else {
        for (const { type, data } of message.entries) {
          if (type === EntryType.EntryNormal) applied.push(new TextDecoder().decode(data))
        }
        for (const response of message.responses) node.step(response)
      }
    }
  }
  return unconfirmed
}

void test('a single voter commits an entry when it is on disk, not before', () => {
  const storage = new MemoryStorage()
  const node = asyncNode(storage)
  const applied: string[] = []
  node.bootstrap([{ id: 1n }])
  const confirm = (responses: readonly Message[]): Message[] => {
    for (const response of responses) node.step(response)
    return drain(node, storage, applied)
  }
  confirm(drain(node, storage, applied))
  node.campaign()
  assert.equal(node.basicStatus().raftState, 'candidate', 'its vote is not on disk')
  const voted = drain(node, storage, applied)
  const opened = confirm(voted)
  assert.equal(node.basicStatus().raftState, 'leader')
  assert.equal(node.basicStatus().hardState.commit, 1, 'the founding entry')
  node.proposeEntries([
    newEntry(EntryType.EntryNormal, bytes('a')),
    newEntry(EntryType.EntryNormal, bytes('b')),
  ])
  const first = drain(node, storage, applied)
  node.propose(bytes('c'))
  const second = drain(node, storage, applied)
  assert.deepEqual(applied, [])
  confirm([...opened, ...first])
  assert.deepEqual(applied, ['', 'a', 'b'])
  confirm(second)
  assert.deepEqual(applied, ['', 'a', 'b', 'c'])
})

void test('a founded group has one entry for each member, committed in term 1', () => {
  const group = new CalmGroup(3)
  const ready = group.node(1n).ready()
  assert.deepEqual(
    ready.entries.map(({ type, term, index }) => [type, term, index]),
    [1, 2, 3].map((index) => [EntryType.EntryConfChange, 1, index]),
  )
  assert.deepEqual(ready.hardState, { term: 1, vote: 0n, commit: 3 })
  assert.equal(ready.mustSync, true)
  assert.throws(() => new CalmGroup(0).add(1n).node.bootstrap([]), /at least one peer/)
})

void test('a member that is started again has what it had, and applies from its snapshot on', () => {
  const group = new CalmGroup(1)
  group.elect(1n).propose(bytes('x'))
  group.settle()
  const { storage } = group.member(1n)
  assert.throws(() => group.add(1n, {}, storage).node.bootstrap([{ id: 1n }]), /nonempty Storage/)
  const restarted = group.add(1n, {}, storage)
  assert.deepEqual(restarted.node.basicStatus().hardState, { term: 2, vote: 1n, commit: 3 })
  assert.equal(restarted.node.basicStatus().lead, 0n)
  group.settle()
  assert.deepEqual(texts(restarted.applied.slice(1)), ['', 'x'])
  storage.createSnapshot(3, restarted.confState, undefined)
  const again = group.add(1n, { applied: 3 }, storage)
  group.settle()
  assert.deepEqual(again.applied, [])
  again.node.campaign()
  group.settle()
  assert.equal(again.node.basicStatus().raftState, 'leader')
})

void test('a commit index that the log does not reach means that entries were lost', () => {
  const storage = new MemoryStorage()
  storage.setHardState({ term: 2, vote: 1n, commit: 7 })
  assert.throws(() => asyncNode(storage), /state.commit 7 is out of range \[0, 0\]/)
})

void test('a follower sends proposals to its leader', () => {
  const group = new CalmGroup(3)
  group.elect(1n)
  assert.equal(group.node(2n).propose(bytes('from 2')), undefined)
  group.settle()
  for (const { applied } of group.members.values()) assert.deepEqual(texts(applied.slice(3)), ['', 'from 2'])
})

void test('without a leader, or with forwarding switched off, proposals are refused', () => {
  const group = new CalmGroup(3, { disableProposalForwarding: true })
  group.settle()
  assert.equal(group.node(1n).propose(bytes('early')), 'proposalDropped')
  group.elect(1n)
  assert.equal(group.node(2n).propose(bytes('from 2')), 'proposalDropped')
  assert.equal(refusalText.proposalDropped, 'raft proposal dropped')
})

void test('a leader takes no more than it may have uncommitted, but always something', () => {
  const group = new CalmGroup(3, { maxUncommittedSize: 10 })
  const leader = group.elect(1n)
  assert.equal(leader.propose(new Uint8Array(100)), undefined)
  assert.equal(leader.propose(new Uint8Array(1)), 'proposalDropped')
  assert.equal(leader.propose(new Uint8Array(0)), undefined)
  group.settle()
  assert.equal(leader.propose(new Uint8Array(1)), undefined)
})

void test('messages that no peer may send, and answers of strangers, are refused', () => {
  const group = new CalmGroup(3)
  const leader = group.elect(1n)
  const from = (id: bigint, type: MessageType): Message =>
    Object.assign(newMessage(type, 1n), { from: id, term: 2 })
  for (const type of [
    MessageType.MsgHup,
    MessageType.MsgBeat,
    MessageType.MsgSnapStatus,
    MessageType.MsgStorageApplyResp,
  ]) {
    assert.equal(leader.step(from(2n, type)), 'localMessage')
  }
  for (const type of [MessageType.MsgAppResp, MessageType.MsgHeartbeatResp, MessageType.MsgVoteResp]) {
    assert.equal(leader.step(from(9n, type)), 'peerNotFound')
  }
})

void test('messages that make no sense are ignored', () => {
  const group = new CalmGroup(3)
  group.elect(1n)
  const follower = group.node(2n)
  const append = Object.assign(newMessage(MessageType.MsgApp, 2n), {
    from: 1n,
    term: 2,
    index: 4,
    logTerm: 2,
    commit: 4,
  })
  for (const entries of [
    [{ type: EntryType.EntryNormal, term: 2, index: 6, data: undefined }],
    [{ type: EntryType.EntryNormal, term: 3, index: 5, data: undefined }],
    [{ type: EntryType.EntryNormal, term: 1, index: 5, data: undefined }],
  ]) {
    follower.step({ ...append, entries })
    assert.equal(follower.raft.log.lastIndex, 4)
    assert.equal(group.member(2n).log.at(-1), '2 ignored a malformed MsgApp from 1')
  }
  const leader = group.node(1n)
  for (const type of [
    MessageType.MsgProp,
    MessageType.MsgReadIndex,
    MessageType.MsgTimeoutNow,
    MessageType.MsgSnap,
  ]) {
    leader.step(Object.assign(newMessage(type, 1n), { from: 2n }))
  }
  const unreadable = newEntry(EntryType.EntryConfChange, Uint8Array.of(0x0b))
  assert.equal(leader.proposeEntries([unreadable]), 'proposalDropped')
  assert.equal(leader.raft.log.lastIndex, 4)
  follower.step(Object.assign(newMessage(MessageType.MsgSnap, 2n), { from: 1n, term: 2 }))
  follower.step(Object.assign(newMessage(MessageType.MsgReadIndexResp, 2n), { from: 1n, term: 2 }))
  group.settle()
  assert.deepEqual(group.member(2n).reads, [])
})

void test('a refusal without a term, as members of etcd 3.4 send it, is taken by its hint', () => {
  const group = new CalmGroup(3)
  const leader = group.elect(1n)
  group.isLost = ({ to }) => to === 3n
  for (let i = 0; i < 3; i++) {
    leader.propose(bytes(String(i)))
    group.settle()
  }
  const refusal = newMessage(MessageType.MsgAppResp, 1n)
  Object.assign(refusal, { from: 3n, term: 2, index: 6, reject: true, rejectHint: 2 })
  leader.step(refusal)
  assert.deepEqual(
    leader.ready().messages.map(({ to, type, index, logTerm }) => ({ to, type, index, logTerm })),
    // The probe starts from what is known to match, never before it.
    [{ to: 3n, type: MessageType.MsgApp, index: 4, logTerm: 2 }],
  )
})

void test('a leader that is asked to hand over stops taking proposals and is followed by the other', () => {
  const group = new CalmGroup(3)
  const leader = group.elect(1n)
  group.isLost = ({ type }) => type === MessageType.MsgTimeoutNow
  leader.transferLeader(2n)
  assert.equal(leader.propose(bytes('x')), 'proposalDropped')
  assert.equal(leader.basicStatus().leadTransferee, 2n)
  group.settle()
  for (let i = 0; i < 10; i++) leader.tick()
  assert.equal(leader.basicStatus().leadTransferee, 0n, 'it gives up after one election timeout')
  assert.equal(leader.propose(bytes('x')), undefined)
  group.isLost = () => false
  group.node(3n).transferLeader(2n)
  group.settle()
  assert.equal(group.node(2n).basicStatus().raftState, 'leader', 'a follower passes the wish on')
})

void test('a member that was cut off catches up from a snapshot', () => {
  const group = new CalmGroup(3)
  const leader = group.elect(1n)
  group.isLost = ({ to }) => to === 3n
  for (let i = 0; i < 5; i++) {
    leader.propose(bytes(String(i)))
    group.settle()
  }
  const { storage, confState } = group.member(1n)
  storage.createSnapshot(8, confState, bytes('state'))
  storage.compact(8)
  group.isLost = ({ type }) => type === MessageType.MsgSnap
  leader.tick()
  group.settle()
  assert.equal(leader.status().progress.get(3n)?.state, 'snapshot')
  leader.reportSnapshot(3n, false)
  assert.equal(leader.status().progress.get(3n)?.state, 'probe')
  group.isLost = () => false
  leader.tick()
  group.settle()
  const late = group.member(3n)
  assert.deepEqual(new TextDecoder().decode(late.storage.snapshot().data), 'state')
  assert.deepEqual(late.storage.snapshot().metadata.confState, { ...emptyConfState(), voters: [1n, 2n, 3n] })
  assert.deepEqual(texts(late.applied.slice(-1)), ['4'])
  assert.equal(leader.status().progress.get(3n)?.state, 'replicate')
})

void test('a follower reads at an index that its leader has confirmed with a quorum', () => {
  const group = new CalmGroup(3)
  group.elect(1n)
  group.node(2n).readIndex(bytes('r1'))
  group.settle()
  assert.deepEqual(group.member(2n).reads, [{ index: 4, requestCtx: bytes('r1') }])
  group.isLost = ({ type }) => type === MessageType.MsgHeartbeatResp
  group.node(1n).readIndex(bytes('r2'))
  group.node(1n).readIndex(bytes('r3'))
  group.settle()
  assert.deepEqual(group.member(1n).reads, [])
  group.isLost = () => false
  group.node(1n).tick()
  group.settle()
  assert.deepEqual(
    group.member(1n).reads.map(({ requestCtx }) => new TextDecoder().decode(requestCtx)),
    ['r2', 'r3'],
    'the next heartbeat asks again for both',
  )
})

void test('a read does not overtake the first commit of a term', () => {
  const group = new CalmGroup(3)
  group.settle()
  group.isLost = ({ type }) => type === MessageType.MsgAppResp
  const leader = group.elect(1n)
  leader.readIndex(bytes('early'))
  group.settle()
  assert.deepEqual(group.member(1n).reads, [])
  group.isLost = () => false
  leader.tick()
  group.settle()
  assert.deepEqual(group.member(1n).reads, [{ index: 4, requestCtx: bytes('early') }])
})

void test('the only voter does not read behind what it committed before a crash', () => {
  const group = new CalmGroup(1)
  group.elect(1n).propose(bytes('acknowledged'))
  group.settle()
  const { storage } = group.member(1n)
  // The commit index alone was not synced.
  storage.setHardState({ term: 2, vote: 1n, commit: 1 })
  const restarted = group.add(1n, {}, storage)
  for (let i = 0; i < 2; i++) {
    restarted.node.ready()
    restarted.node.advance()
  }
  restarted.node.applyConfChange({ id: 0n, type: 0, nodeId: 1n, context: undefined })
  restarted.node.campaign()
  restarted.node.ready()
  restarted.node.advance()
  assert.equal(restarted.node.basicStatus().raftState, 'leader')
  restarted.node.readIndex(bytes('r'))
  assert.equal(restarted.node.raft.readStates.length, 0)
  group.settle()
  assert.deepEqual(restarted.reads, [{ index: 4, requestCtx: bytes('r') }])
})

void test('late answers to a read that was asked twice do not confirm later ones', () => {
  const group = new CalmGroup(3)
  const leader = group.elect(1n)
  const request = Object.assign(newMessage(MessageType.MsgReadIndex, 1n), { from: 2n })
  request.entries = [newEntry(EntryType.EntryNormal, bytes('same'))]
  leader.step({ ...request })
  const late: Message[] = []
  group.isLost = (message) => {
    if (message.type === MessageType.MsgHeartbeatResp && message.from === 3n) late.push(message)
    return message.from === 3n
  }
  group.settle()
  assert.equal(group.member(2n).reads.length, 1)
  // Cut off from both followers, who may have elected another leader by now.
  group.isLost = () => true
  leader.readIndex(bytes('own'))
  leader.step({ ...request })
  for (const message of late) leader.step(message)
  group.settle()
  assert.equal(late.length, 1)
  assert.deepEqual(group.member(1n).reads, [])
})

void test('with leases a leader answers at once, and its followers do not leave it', () => {
  const group = new CalmGroup(3, { checkQuorum: true, readOnlyOption: 'leaseBased' })
  const leader = group.elect(1n)
  leader.readIndex(bytes('r'))
  assert.equal(leader.raft.readStates.length, 1)
  group.node(2n).forgetLeader()
  assert.equal(group.node(2n).basicStatus().lead, 1n)
})

void test('a new leader can be elected at once by those who forget the old one', () => {
  const group = new CalmGroup(3, { checkQuorum: true, preVote: true })
  group.elect(1n)
  group.node(2n).campaign()
  group.settle()
  assert.equal(group.node(1n).basicStatus().raftState, 'leader')
  group.isLost = ({ to, from }) => to === 1n || from === 1n
  for (const id of [2n, 3n]) group.node(id).forgetLeader()
  group.node(2n).campaign()
  group.settle()
  assert.equal(group.node(2n).basicStatus().raftState, 'leader')
})

void test('the same inputs give the same outputs', () => {
  const run = (): string => {
    const group = new CalmGroup(3, { preVote: true, checkQuorum: true })
    const leader = group.elect(1n)
    for (let i = 0; i < 20; i++) {
      leader.propose(bytes(String(i)))
      group.node(2n).readIndex(bytes(String(i)))
      leader.tick()
      group.settle()
    }
    return JSON.stringify([...group.members.values()].map(({ log, applied, reads }) => [log, applied, reads]))
  }
  assert.equal(run(), run())
})

for (const { name, options, text } of [
  { name: 'no id', options: { id: 0n }, text: 'cannot use none as id' },
  {
    name: 'the id of a local target',
    options: { id: LOCAL_APPEND_THREAD },
    text: 'cannot use local target as id',
  },
  { name: 'no heartbeats', options: { heartbeatTicks: 0 }, text: 'heartbeat tick must be greater than 0' },
  {
    name: 'elections as often as heartbeats',
    options: { electionTicks: 1 },
    text: 'election tick must be greater than heartbeat tick',
  },
  {
    name: 'nothing under way',
    options: { maxInflightMessages: 0 },
    text: 'max inflight messages must be greater than 0',
  },
  {
    name: 'less under way than a message',
    options: { maxSizePerMessage: 10, maxInflightBytes: 9 },
    text: 'max inflight bytes must be >= max message size',
  },
  {
    name: 'nothing to apply',
    options: { maxCommittedSizePerReady: 0 },
    text: 'max committed size per ready must be greater than 0',
  },
  {
    name: 'leases without quorum checks',
    options: { readOnlyOption: 'leaseBased' },
    text: 'CheckQuorum must be enabled when ReadOnlyOption is ReadOnlyLeaseBased',
  },
] satisfies { name: string; options: Partial<RaftConfig>; text: string }[]) {
  void test(`a configuration with ${name} is refused`, () => {
    assert.throws(() => asyncNode(new MemoryStorage(), options), new RaftConfigError(text))
  })
}

void test('a heartbeat that speaks of entries which were lost commits nothing, and is answered', () => {
  const storage = new MemoryStorage()
  const node = asyncNode(storage)
  node.bootstrap([{ id: 1n }, { id: 2n }])
  drain(node, storage, [])
  const committed = node.basicStatus().hardState.commit
  const heartbeat = newMessage(MessageType.MsgHeartbeat, 1n)
  heartbeat.from = 2n
  heartbeat.term = 2
  heartbeat.commit = 100
  node.step(heartbeat)
  assert.equal(node.basicStatus().hardState.commit, committed)
  assert.ok(node.ready().messages.some(({ type }) => type === MessageType.MsgHeartbeatResp))
})
