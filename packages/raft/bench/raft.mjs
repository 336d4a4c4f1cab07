// What raft costs per entry, without disk and network, with asynchronous storage writes:
//
//     node packages/raft/bench/raft.mjs [ENTRIES]
//
// One turn proposes a batch to the leader, takes the Readys of all members, appends to the logs in memory,
// and delivers messages. What needs the disk is answered one turn later, so that two appends overlap. With one
// voter the figure is propose + append + Ready + acknowledgement + hand-over to apply; with three it is the
// sum of all three members. Prints nanoseconds per entry.
import {
  EntryType,
  LOCAL_APPEND_THREAD,
  LOCAL_APPLY_THREAD,
  MemoryStorage,
  RawNode,
  newEntry,
} from '../dist/index.js'

const total = Number(process.argv[2] ?? 1_000_000)
const payload = new Uint8Array(300)
/** Entries that stay in the log. */
const KEPT = 5_000

class Member {
  constructor(id, peers) {
    this.id = id
    this.storage = new MemoryStorage()
    this.node = new RawNode({
      id,
      electionTicks: 10,
      heartbeatTicks: 1,
      storage: this.storage,
      random: { below: () => 0 },
      asyncStorageWrites: true,
      maxSizePerMessage: 1024 * 1024,
      maxInflightMessages: 512,
      checkQuorum: true,
      preVote: true,
    })
    this.node.bootstrap(peers)
    this.applied = 0
    this.awaitingDisk = []
  }

  /** @param outbox messages to others, and answers that wait for the disk, are added to it or kept */
  drain(outbox) {
    const { node, storage } = this
    while (node.hasReady()) {
      const { messages } = node.ready()
      for (const message of messages) {
        if (message.to === LOCAL_APPEND_THREAD) {
          storage.append(message.entries)
          for (const response of message.responses) this.awaitingDisk.push(response)
        } else if (message.to === LOCAL_APPLY_THREAD) {
          this.apply(message.entries)
          for (const response of message.responses) node.step(response)
        } else {
          outbox.push(message)
        }
      }
    }
  }

  apply(entries) {
    const { node, storage } = this
    for (const { type } of entries) {
      if (type !== EntryType.EntryNormal)
        node.applyConfChange({ id: 0n, type: 2, nodeId: this.id, context: undefined })
    }
    this.applied = entries.at(-1).index
    if (this.applied - storage.firstIndex() > 2 * KEPT) storage.compact(this.applied - KEPT)
  }
}

function openGroup(size) {
  const peers = Array.from({ length: size }, (_, at) => ({ id: 0x8e9e05c52164694dn + BigInt(at) }))
  return new Map(peers.map(({ id }) => [id, new Member(id, peers)]))
}

/** One turn of all members. */
function turn(members) {
  const outbox = []
  for (const member of members.values()) {
    const confirmed = member.awaitingDisk
    member.awaitingDisk = []
    member.drain(outbox)
    for (const message of confirmed) {
      if (message.to === member.id) member.node.step(message)
      else outbox.push(message)
    }
    member.drain(outbox)
  }
  for (const message of outbox) members.get(message.to).node.step(message)
}

function run(size, batchSize, entries) {
  const members = openGroup(size)
  const leader = members.values().next().value
  for (let i = 0; i < 5; i++) turn(members)
  leader.node.campaign()
  for (let i = 0; i < 20; i++) turn(members)
  const first = leader.applied
  const start = performance.now()
  for (let done = 0; done < entries; done += batchSize) {
    const batch = []
    for (let i = 0; i < batchSize; i++) batch.push(newEntry(EntryType.EntryNormal, payload))
    const refusal = leader.node.proposeEntries(batch)
    if (refusal !== undefined) throw new Error(refusal)
    turn(members)
  }
  while (leader.applied < first + entries) turn(members)
  return ((performance.now() - start) * 1e6) / entries
}

for (const size of [1, 3]) {
  for (const batchSize of [1, 10, 100, 1000]) {
    run(size, batchSize, total / 10)
    const cost = run(size, batchSize, total)
    process.stdout.write(
      `${size} voter${size === 1 ? ' ' : 's'}, batches of ${String(batchSize).padStart(4)}: ${cost.toFixed(0).padStart(5)} ns per entry\n`,
    )
  }
}
