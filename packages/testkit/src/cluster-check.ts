import { isDeepStrictEqual } from 'node:util'
import type { ClusterMember } from './cluster-member.ts'
import type { ClusterProcess } from './cluster-process.ts'
import { type HistoryCall, changesStore, registerOperations } from './concurrent-history.ts'
import { eventually } from './eventually.ts'
import { finalLists, listTransactions } from './list-history.ts'
import { checkLinearizable } from './linearizability.ts'
import { registerSpecification } from './register.ts'
import { type StoreRevision, checkRevisions } from './revision-order.ts'
import { HistoryError } from './sim-member-history.ts'
import { readStoreRevisions } from './store-revisions.ts'
import { findAnomalies } from './transaction-cycles.ts'
import type { Workload } from './workload.ts'

/** How long members have to accept writes and to catch up once nothing disturbs them any more. */
const RECOVERY_MS = 30_000

const CATASTROPHES = /panic:|"level":"(panic|fatal)"|unhandled|uncaught/i

export interface CheckOptions {
  /** What the clients did besides single puts. */
  readonly kind: 'registers' | 'lists'
  /** Lines about an end that a member was meant to come to. */
  readonly expectedLines?: RegExp
}

/**
 * The checks at the end of every test with faults; nothing disturbs the cluster any more, and all its members are up.
 *
 * The workload is stopped. Every voter must then accept a write (I21), all stores must be equal, in their present state and
 * in everything that ever happened to them (I16), and the history of the calls must be explained: by the revisions (I1, I2,
 * I5 to I8, I22), and by a search that does not look at revisions (registers: I3; lists: I4). No member may have panicked
 * (I20).
 *
 * @returns a line that tells how much was checked
 * @throws HistoryError, or the error of a member that does not recover
 */
export async function checkCluster(
  cluster: ClusterProcess,
  workload: Workload,
  { kind, expectedLines }: CheckOptions,
): Promise<string> {
  await workload.stop()
  const voters: ClusterMember[] = []
  for (const member of cluster.members) {
    const status = await eventually(`the status of ${member.name}`, RECOVERY_MS, () => member.status())
    if (!status.isLearner) voters.push(member)
  }
  for (const voter of voters) await writeThrough(workload, voter)
  const { revision } = await cluster.assertEqualHashes()
  const [first, ...others] = await Promise.all(
    voters.map(({ endpoint }) => readStoreRevisions(endpoint, revision)),
  )
  if (first === undefined) throw new Error('no voter is up')
  for (const [i, other] of others.entries()) {
    if (!isDeepStrictEqual(first, other)) {
      throw new HistoryError(`${voters[0]?.name} and ${voters[i + 1]?.name} differ in what has happened`)
    }
  }
  for (const member of cluster.members) {
    const line = member.server.log.lines.find(
      (each) => CATASTROPHES.test(each) && expectedLines?.test(each) !== true,
    )
    if (line !== undefined) throw new HistoryError(`${member.name} logged: ${line}`)
  }
  const { calls, counts } = workload.history
  const report = checkRevisions(calls, first)
  const independent = kind === 'registers' ? checkRegisters(calls) : checkLists(calls, first)
  return (
    `${counts.answered} calls answered, ${counts.refused} refused, ${report.unansweredDone} unanswered done, ` +
    `${report.unansweredLost} unanswered lost, ${revision} revisions; ${independent}`
  )
}

/** A member accepts a write, sooner or later; a call without an answer may have been one. */
async function writeThrough(workload: Workload, { name, endpoint }: ClusterMember): Promise<void> {
  let attempt = 0
  await eventually(`a write through ${name}`, RECOVERY_MS, async () => {
    const value = `final ${name} ${attempt++}`
    const { outcome } = await workload.call(endpoint, { kind: 'put', key: `final/${name}`, value })
    return outcome.kind === 'answered' && changesStore(outcome.answer) ? true : undefined
  })
}

function checkRegisters(calls: readonly HistoryCall[]): string {
  let untested = 0
  const registers = registerOperations(calls)
  for (const [key, operations] of registers) {
    const verdict = checkLinearizable(registerSpecification, operations)
    if (verdict.kind === 'violation') throw new HistoryError(`${key}: ${verdict.violation.text}`)
    if (verdict.kind === 'untested') untested += operations.length
  }
  // What the search gave up on counts as not tested.
  if (untested > 0.02 * calls.length) throw new Error(`${untested} calls of ${calls.length} are not tested`)
  return `${registers.size} registers are linearizable (${untested} calls untested)`
}

function checkLists(calls: readonly HistoryCall[], store: readonly StoreRevision[]): string {
  const transactions = listTransactions(calls)
  const [anomaly] = findAnomalies(transactions, finalLists(store))
  if (anomaly !== undefined) throw new HistoryError(anomaly.text)
  const committed = transactions.filter(({ status }) => status === 'committed').length
  return `${committed} committed transactions are strictly serializable`
}
