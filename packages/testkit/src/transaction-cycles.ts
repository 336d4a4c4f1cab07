/**
 * Decides whether a history of transactions on lists is strictly serializable, by looking for what no serial order allows.
 *
 * Every element is appended once, so a list that is read tells the order of the transactions that made it; reads, writes
 * and time then order transactions pairwise, and a cycle of such edges is an anomaly. Names and method are those of Adya's
 * thesis (1999) and of Kingsbury and Alvaro, "Elle: inferring isolation anomalies from experimental observations" (2020).
 */

/** One step of a transaction. A read without a list is one whose answer is not known. */
export type ListStep =
  | { readonly kind: 'append'; readonly key: string; readonly element: string }
  | { readonly kind: 'read'; readonly key: string; readonly list: readonly string[] | undefined }

export interface ListTransaction {
  readonly name: string
  readonly steps: readonly ListStep[]
  /** `aborted`: it has not happened; `unknown`: it may have. */
  readonly status: 'committed' | 'aborted' | 'unknown'
  readonly begun: number
  /** Of no meaning unless committed. */
  readonly ended: number
}

/** Why one transaction comes before another: it wrote what the other overwrote or read, or read what the other overwrote, or had ended when the other began. */
export type EdgeKind = 'ww' | 'wr' | 'rw' | 'time'

export interface CycleEdge {
  readonly kind: EdgeKind
  readonly from: ListTransaction
  readonly to: ListTransaction
  readonly key: string | undefined
}

export type AnomalyKind =
  /** A read of what an aborted transaction wrote. */
  | 'G1a'
  /** A read of what its transaction had not finished. */
  | 'G1b'
  /** A cycle of writes. */
  | 'G0'
  /** A cycle of writes and reads of them. */
  | 'G1c'
  /** A cycle with one transaction that did not see another. */
  | 'G-single'
  /** A cycle with more of those. */
  | 'G2'
  /** A read of what nobody appended. */
  | 'garbage'
  /** An element is in a list twice. */
  | 'duplicate'
  /** Two reads of a key, neither of which is the beginning of the other. */
  | 'incompatible-order'
  /** A transaction that does not see its own appends. */
  | 'internal'
  /** A committed append that the final lists do not have. */
  | 'lost'

export interface Anomaly {
  readonly kind: AnomalyKind
  /** Whether the cycle has an edge of time: without it the history would still be serializable. */
  readonly usesTime: boolean
  readonly cycle: readonly CycleEdge[]
  readonly text: string
}

/**
 * @param finalLists what the store held in the end, where known; an append that is not in it is lost
 * @returns what is wrong, one anomaly of each kind and group of transactions; empty for a strictly serializable history
 */
export function findAnomalies(
  transactions: readonly ListTransaction[],
  finalLists?: ReadonlyMap<string, readonly string[]>,
): Anomaly[] {
  const lists = new Lists(transactions, finalLists)
  // Without an order of the elements there are no edges.
  if (lists.anomalies.some(({ kind }) => kind === 'duplicate' || kind === 'incompatible-order')) {
    return lists.anomalies
  }
  const graph = new Graph()
  lists.addEdges(graph)
  addTimeEdges(graph, lists.happened)
  return [...lists.anomalies, ...cycleAnomalies(graph)]
}

/** The orders in which elements were appended, and what is wrong with single reads. */
class Lists {
  readonly anomalies: Anomaly[] = []
  /** Committed ones, and those of unknown outcome that somebody has seen. */
  readonly happened: ListTransaction[] = []
  readonly #appendedBy = new Map<string, ListTransaction>()
  readonly #order = new Map<string, readonly string[]>()

  constructor(
    transactions: readonly ListTransaction[],
    finalLists: ReadonlyMap<string, readonly string[]> | undefined,
  ) {
    for (const transaction of transactions) {
      for (const step of transaction.steps) {
        if (step.kind !== 'append') continue
        const id = elementId(step.key, step.element)
        if (this.#appendedBy.has(id)) throw new Error(`${step.element} is appended to ${step.key} twice`)
        this.#appendedBy.set(id, transaction)
      }
    }
    const seen = new Set<ListTransaction>()
    const see = (key: string, list: readonly string[], reader: string): void => {
      this.#seeList(key, list, reader)
      for (const element of list) {
        const writer = this.#appendedBy.get(elementId(key, element))
        if (writer !== undefined) seen.add(writer)
      }
    }
    for (const transaction of transactions) {
      if (transaction.status !== 'committed') continue
      this.#checkInternal(transaction)
      for (const { key, list } of externalReads(transaction)) see(key, list, transaction.name)
    }
    for (const [key, list] of finalLists ?? []) see(key, list, 'the final state')
    for (const transaction of transactions) {
      const isSeen = transaction.status === 'unknown' && seen.has(transaction)
      if (transaction.status === 'committed' || isSeen) this.happened.push(transaction)
      if (transaction.status === 'committed') this.#checkReads(transaction)
    }
    if (finalLists !== undefined) this.#checkLost(finalLists)
  }

  addEdges(graph: Graph): void {
    for (const transaction of this.happened) graph.add(transaction)
    const lastOf = new Map<string, ListTransaction>()
    for (const [key, order] of this.#order) {
      let before: ListTransaction | undefined
      for (const element of order) {
        const writer = this.#appendedBy.get(elementId(key, element))
        if (writer === undefined) continue
        if (before !== undefined) graph.edge('ww', before, writer, key)
        before = writer
      }
      if (before !== undefined) lastOf.set(key, before)
    }
    for (const transaction of this.happened) {
      if (transaction.status !== 'committed') continue
      for (const { key, list } of externalReads(transaction))
        this.#addReadEdges(graph, transaction, key, list)
    }
    this.#addUnseenWrites(graph, lastOf)
  }

  /** Committed appends that no read has come to: they are later than all that any read has seen, as is their transaction. */
  #addUnseenWrites(graph: Graph, lastOf: ReadonlyMap<string, ListTransaction>): void {
    for (const transaction of this.happened) {
      for (const step of transaction.steps) {
        if (step.kind !== 'append' || this.#order.get(step.key)?.includes(step.element)) continue
        const last = lastOf.get(step.key)
        if (last !== undefined) graph.edge('ww', last, transaction, step.key)
        for (const reader of this.happened) {
          if (reader.status !== 'committed') continue
          if (externalReads(reader).some(({ key }) => key === step.key)) {
            graph.edge('rw', reader, transaction, step.key)
          }
        }
      }
    }
  }

  #addReadEdges(graph: Graph, reader: ListTransaction, key: string, list: readonly string[]): void {
    const last = list.at(-1)
    const writer = last === undefined ? undefined : this.#appendedBy.get(elementId(key, last))
    if (writer !== undefined) graph.edge('wr', writer, reader, key)
    const order = this.#order.get(key) ?? []
    const next = order[list.length]
    const overwriter = next === undefined ? undefined : this.#appendedBy.get(elementId(key, next))
    if (overwriter !== undefined) graph.edge('rw', reader, overwriter, key)
  }

  #seeList(key: string, list: readonly string[], reader: string): void {
    if (new Set(list).size < list.length) {
      this.#report('duplicate', `${reader} read ${key}: [${list.join(' ')}]`)
      return
    }
    const known = this.#order.get(key) ?? []
    const [shorter, longer] = list.length < known.length ? [list, known] : [known, list]
    if (shorter.some((element, i) => element !== longer[i])) {
      const lists = `[${known.join(' ')}] and [${list.join(' ')}]`
      this.#report('incompatible-order', `${reader} and another read ${key}: ${lists}`)
      return
    }
    this.#order.set(key, longer)
  }

  #checkReads(reader: ListTransaction): void {
    for (const { key, list } of externalReads(reader)) {
      for (const element of list) {
        const writer = this.#appendedBy.get(elementId(key, element))
        if (writer === undefined) this.#report('garbage', `${reader.name} read ${element} in ${key}`)
        else if (writer.status === 'aborted') {
          this.#report(
            'G1a',
            `${reader.name} read ${element} of ${writer.name}, which was aborted, in ${key}`,
          )
        }
      }
      const last = list.at(-1)
      const writer = last === undefined ? undefined : this.#appendedBy.get(elementId(key, last))
      if (writer === undefined || writer === reader) continue
      const appends = writer.steps.filter((step) => step.kind === 'append' && step.key === key)
      const final = appends.at(-1)
      if (final?.kind === 'append' && final.element !== last) {
        this.#report('G1b', `${reader.name} read ${key} up to ${last}, in the middle of ${writer.name}`)
      }
    }
  }

  /** Within a transaction, a read is what was read before and what was appended since. */
  #checkInternal(transaction: ListTransaction): void {
    const known = new Map<string, string[]>()
    const appended = new Map<string, string[]>()
    for (const step of transaction.steps) {
      const { key } = step
      if (step.kind === 'append') {
        known.get(key)?.push(step.element)
        appended.set(key, [...(appended.get(key) ?? []), step.element])
        continue
      }
      if (step.list === undefined) continue
      const expected = known.get(key)
      const own = appended.get(key) ?? []
      const end = step.list.slice(step.list.length - own.length)
      const isRight =
        expected === undefined
          ? own.every((element, i) => element === end[i])
          : expected.length === step.list.length && expected.every((element, i) => element === step.list?.[i])
      if (!isRight) {
        const other = (expected ?? own).join(' ')
        this.#report('internal', `${transaction.name} read ${key}: [${step.list.join(' ')}] after [${other}]`)
      }
      known.set(key, [...step.list])
    }
  }

  #checkLost(finalLists: ReadonlyMap<string, readonly string[]>): void {
    for (const { name, status, steps } of this.happened) {
      for (const step of steps) {
        if (status !== 'committed' || step.kind !== 'append') continue
        if (!(finalLists.get(step.key) ?? []).includes(step.element)) {
          this.#report('lost', `${name} appended ${step.element} to ${step.key}, which is not there`)
        }
      }
    }
  }

  #report(kind: AnomalyKind, text: string): void {
    this.anomalies.push({ kind, usesTime: false, cycle: [], text: `${kind}: ${text}` })
  }
}

/** The first read of each key that no append of the same transaction came before. */
function externalReads({ steps }: ListTransaction): { key: string; list: readonly string[] }[] {
  const touched = new Set<string>()
  const reads: { key: string; list: readonly string[] }[] = []
  for (const step of steps) {
    if (touched.has(step.key)) continue
    if (step.kind === 'read' && step.list === undefined) continue
    touched.add(step.key)
    if (step.kind === 'read' && step.list !== undefined) reads.push({ key: step.key, list: step.list })
  }
  return reads
}

function elementId(key: string, element: string): string {
  return `${key}\n${element}`
}

class Graph {
  readonly nodes = new Set<ListTransaction>()
  readonly #edges = new Map<ListTransaction, CycleEdge[]>()

  add(node: ListTransaction): void {
    this.nodes.add(node)
  }

  edge(kind: EdgeKind, from: ListTransaction, to: ListTransaction, key?: string): void {
    if (from === to) return
    const edge = { kind, from, to, key }
    const edges = this.#edges.get(from)
    if (edges === undefined) this.#edges.set(from, [edge])
    else edges.push(edge)
  }

  from(node: ListTransaction): readonly CycleEdge[] {
    return this.#edges.get(node) ?? []
  }
}

/** One edge for each pair that no third transaction lies between: paths of them connect all that time orders. */
function addTimeEdges(graph: Graph, transactions: readonly ListTransaction[]): void {
  const moments = transactions.flatMap((transaction) => [
    { at: transaction.begun, ends: false, transaction },
    ...(transaction.status === 'committed' ? [{ at: transaction.ended, ends: true, transaction }] : []),
  ])
  moments.sort((a, b) => a.at - b.at || Number(a.ends) - Number(b.ends))
  let frontier: ListTransaction[] = []
  for (const { ends, transaction } of moments) {
    if (ends) {
      frontier = frontier.filter((other) => !(other.ended < transaction.begun))
      frontier.push(transaction)
    } else {
      for (const other of frontier) graph.edge('time', other, transaction)
    }
  }
}

/** From the gravest to the least; each is looked for without the edges of those that follow. */
const cycleSearches: readonly {
  readonly kind: AnomalyKind
  readonly kinds: readonly EdgeKind[]
  /** The kind that the cycle must begin with. */
  readonly needs: EdgeKind
}[] = [
  { kind: 'G0', kinds: ['ww'], needs: 'ww' },
  { kind: 'G1c', kinds: ['ww', 'wr'], needs: 'wr' },
  { kind: 'G-single', kinds: ['ww', 'wr'], needs: 'rw' },
  { kind: 'G2', kinds: ['ww', 'wr', 'rw'], needs: 'rw' },
]

function cycleAnomalies(graph: Graph): Anomaly[] {
  const anomalies: Anomaly[] = []
  const reported = new Set<ListTransaction>()
  for (const usesTime of [false, true]) {
    for (const { kind, kinds, needs } of cycleSearches) {
      const allowed = new Set<EdgeKind>([...kinds, ...(usesTime ? (['time'] as const) : [])])
      const components = stronglyConnected(graph, new Set([...allowed, needs]))
      for (const component of components) {
        if ([...component].some((node) => reported.has(node))) continue
        const cycle = shortestCycle(graph, component, allowed, needs)
        if (cycle === undefined || (usesTime && !cycle.some((edge) => edge.kind === 'time'))) continue
        for (const node of component) reported.add(node)
        anomalies.push({ kind, usesTime, cycle, text: describeCycle(kind, usesTime, cycle) })
      }
    }
  }
  return anomalies
}

/** Tarjan's strongly connected components of more than one node (1972), without recursion. */
function stronglyConnected(graph: Graph, kinds: ReadonlySet<EdgeKind>): Set<ListTransaction>[] {
  const index = new Map<ListTransaction, number>()
  const low = new Map<ListTransaction, number>()
  const onStack = new Set<ListTransaction>()
  const stack: ListTransaction[] = []
  const components: Set<ListTransaction>[] = []
  let counter = 0
  const enter = (
    node: ListTransaction,
  ): { node: ListTransaction; edges: readonly CycleEdge[]; at: number } => {
    index.set(node, counter)
    low.set(node, counter++)
    stack.push(node)
    onStack.add(node)
    return { node, edges: graph.from(node), at: 0 }
  }
  const lower = (node: ListTransaction, value: number): void => {
    low.set(node, Math.min(low.get(node) ?? value, value))
  }
  for (const root of graph.nodes) {
    if (index.has(root)) continue
    const path = [enter(root)]
    for (let frame = path.at(-1); frame !== undefined; frame = path.at(-1)) {
      const edge = frame.edges[frame.at++]
      if (edge !== undefined) {
        if (!kinds.has(edge.kind)) continue
        if (!index.has(edge.to)) path.push(enter(edge.to))
        else if (onStack.has(edge.to)) lower(frame.node, index.get(edge.to) ?? 0)
        continue
      }
      path.pop()
      const { node } = frame
      const parent = path.at(-1)
      if (parent !== undefined) lower(parent.node, low.get(node) ?? 0)
      if (low.get(node) !== index.get(node)) continue
      const component = new Set<ListTransaction>()
      for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
        onStack.delete(top)
        component.add(top)
        if (top === node) break
      }
      if (component.size > 1) components.push(component)
    }
  }
  return components
}

/** The shortest of the cycles that begin with an edge of kind `first` and go on along `allowed` edges. */
function shortestCycle(
  graph: Graph,
  component: ReadonlySet<ListTransaction>,
  allowed: ReadonlySet<EdgeKind>,
  first: EdgeKind,
): CycleEdge[] | undefined {
  let shortest: CycleEdge[] | undefined
  for (const node of component) {
    for (const edge of graph.from(node)) {
      if (edge.kind !== first || !component.has(edge.to)) continue
      const back = shortestPath(graph, component, allowed, edge.to, node)
      if (back !== undefined && (shortest === undefined || back.length + 1 < shortest.length)) {
        shortest = [edge, ...back]
      }
      if (shortest?.length === 2) return shortest
    }
  }
  return shortest
}

function shortestPath(
  graph: Graph,
  component: ReadonlySet<ListTransaction>,
  allowed: ReadonlySet<EdgeKind>,
  from: ListTransaction,
  to: ListTransaction,
): CycleEdge[] | undefined {
  const cameBy = new Map<ListTransaction, CycleEdge>()
  let level = [from]
  while (level.length > 0) {
    const next: ListTransaction[] = []
    for (const node of level) {
      for (const edge of graph.from(node)) {
        if (!allowed.has(edge.kind) || !component.has(edge.to) || cameBy.has(edge.to)) continue
        if (edge.to === from) continue
        cameBy.set(edge.to, edge)
        if (edge.to === to) return pathTo(to, from, cameBy)
        next.push(edge.to)
      }
    }
    level = next
  }
  return undefined
}

function pathTo(
  to: ListTransaction,
  from: ListTransaction,
  cameBy: ReadonlyMap<ListTransaction, CycleEdge>,
): CycleEdge[] {
  const path: CycleEdge[] = []
  for (let node = to; node !== from;) {
    const edge = cameBy.get(node)
    if (edge === undefined) break
    path.unshift(edge)
    node = edge.from
  }
  return path
}

const reasons: Record<EdgeKind, string> = {
  ww: 'appended before',
  wr: 'appended what was read by',
  rw: 'did not see what was appended by',
  time: 'had ended before the beginning of',
}

function describeCycle(kind: AnomalyKind, usesTime: boolean, cycle: readonly CycleEdge[]): string {
  const lines = cycle.map(({ kind: edge, from, to, key }) => {
    const where = key === undefined ? '' : ` (key ${key})`
    return `  ${describeTransaction(from)} ${reasons[edge]} ${to.name}${where}`
  })
  return [`${kind}${usesTime ? ' in real time' : ''}:`, ...lines].join('\n')
}

function describeTransaction({ name, steps, status, begun, ended }: ListTransaction): string {
  const words = steps.map((step) =>
    step.kind === 'append'
      ? `append ${step.key} ${step.element}`
      : `read ${step.key} [${step.list?.join(' ') ?? '?'}]`,
  )
  return `${name} {${words.join(', ')}} [${begun}, ${status === 'committed' ? ended : '?'}]`
}
