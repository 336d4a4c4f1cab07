/**
 * Decides whether a history of concurrent operations is linearizable: whether one order of them, in which no operation
 * comes before one that had ended when it began, explains every answer.
 *
 * The search goes through the ends of operations in the order of time and keeps every configuration that explains all
 * answers so far: the object's state, and which of the operations in progress have already taken effect (Wing and Gong 1993
 * with the memory of Lowe, "Testing for linearizability", 2017, in his just-in-time form). An operation is only made to
 * take effect when an answer needs it. One whose outcome nobody knows stays in progress for ever, and may take effect once
 * or never; of two configurations that differ in those only, the one that has used fewer can do all that the other can.
 */

/** An operation on an object. Times may have any unit; operations that touch are concurrent. */
export interface TimedOperation<Input, Output> {
  readonly input: Input
  /** Undefined: nobody knows whether it took effect or ever will. */
  readonly output: Output | undefined
  readonly begun: number
  /** Of no meaning without an output. */
  readonly ended: number
}

/** An object, as if its operations came one after the other. States are values: a step gives a new one. */
export interface Specification<State, Input, Output> {
  readonly initial: State
  /**
   * The state after the operation has taken effect in `state`.
   *
   * @param output undefined: the operation may have had any answer
   * @returns undefined when it could not have had that answer
   */
  step(state: State, input: Input, output: Output | undefined): State | undefined
  /** Whether an operation that had this answer leaves every state as it is. */
  isPure(input: Input, output: Output | undefined): boolean
  /** Equal for equal states, and for no others. */
  keyOf(state: State): string
  /** Also tells inputs apart: two with the same text do the same. */
  describe(input: Input, output: Output | undefined): string
}

export interface SearchOptions {
  /** The steps after which the search gives up. Default: 5,000,000. */
  readonly stepsMax?: number
}

/** A piece of a history that no order explains, and that is explained with any answer less. */
export interface Violation<Input, Output> {
  /** The first operation whose answer cannot be explained by what had begun before it ended. */
  readonly culprit: TimedOperation<Input, Output>
  /**
   * Those whose answers are needed to see it, in the order of their beginnings, the culprit among them: whatever had been
   * answered before, and whatever is answered later, these cannot all be true.
   */
  readonly window: readonly TimedOperation<Input, Output>[]
  /** The states that the object can have been in until the culprit ended. */
  readonly states: readonly string[]
  /** All of this in lines to be read. */
  readonly text: string
}

export type Verdict<Input, Output> =
  | { readonly kind: 'linearizable' }
  | { readonly kind: 'violation'; readonly violation: Violation<Input, Output> }
  /** The search gave up, which proves nothing. */
  | { readonly kind: 'untested' }

/** Searches for an order that explains the whole history of one object. */
export function checkLinearizable<State, Input, Output>(
  specification: Specification<State, Input, Output>,
  operations: readonly TimedOperation<Input, Output>[],
  options: SearchOptions = {},
): Verdict<Input, Output> {
  const stepsMax = options.stepsMax ?? 5_000_000
  const result = new Search(specification, operations, stepsMax).run()
  if (result.kind !== 'stuck') return { kind: result.kind }
  const { culprit } = result
  // Nothing after the culprit's end matters. Of what is before it, answers are forgotten as long as the rest still cannot
  // be explained: first from the oldest on, then one by one.
  const before = operations.filter(({ begun }) => begun <= culprit.ended)
  const answered = before
    .filter((o) => o !== culprit && o.output !== undefined && o.ended <= culprit.ended)
    .toSorted((a, b) => a.ended - b.ended)
  const staysStuck = (forgotten: readonly TimedOperation<Input, Output>[]): boolean =>
    new Search(specification, before, stepsMax, new Set(forgotten)).run().kind === 'stuck'
  let [count, countMax] = [0, answered.length]
  while (count < countMax) {
    const middle = (count + countMax + 1) >> 1
    if (staysStuck(answered.slice(0, middle))) count = middle
    else countMax = middle - 1
  }
  const forgotten = answered.slice(0, count)
  const needed = answered.slice(count)
  if (needed.length <= SIFTED_MAX) {
    for (let i = needed.length - 1; i >= 0; i--) {
      const operation = needed[i]
      if (operation === undefined || !staysStuck([...forgotten, operation])) continue
      forgotten.push(operation)
      needed.splice(i, 1)
    }
  }
  const window = [...needed, culprit].toSorted((a, b) => a.begun - b.begun)
  const text = explain(specification, before, { culprit, window, states: result.states })
  return { kind: 'violation', violation: { culprit, window, states: result.states, text } }
}

/** A history split into those of objects that know nothing of each other: it is linearizable exactly if each of them is. */
export function partitionBy<Input, Output>(
  operations: readonly TimedOperation<Input, Output>[],
  objectOf: (input: Input) => string,
): Map<string, TimedOperation<Input, Output>[]> {
  const parts = new Map<string, TimedOperation<Input, Output>[]>()
  for (const operation of operations) {
    const object = objectOf(operation.input)
    const part = parts.get(object)
    if (part === undefined) parts.set(object, [operation])
    else part.push(operation)
  }
  return parts
}

type SearchResult<Input, Output> =
  | { readonly kind: 'linearizable' }
  | { readonly kind: 'untested' }
  | {
      readonly kind: 'stuck'
      readonly culprit: TimedOperation<Input, Output>
      readonly states: readonly string[]
    }

interface Configuration<State> {
  readonly state: State
  readonly key: string
  /** Bits of the slots of operations in progress that have taken effect. */
  readonly done: number
  /** Bits of the operations without an answer that have taken effect. */
  readonly used: bigint
}

interface InProgress<Input, Output> {
  readonly operation: TimedOperation<Input, Output>
  readonly output: Output | undefined
  readonly isPure: boolean
  readonly slotBit: number
}

interface Unanswered<Input> {
  readonly input: Input
  readonly bit: bigint
  /** Those of the same effect that began before: any of them can stand for this one. */
  readonly alike: bigint
}

/** Up to so many answers are tried one by one. */
const SIFTED_MAX = 100

/** Bits that an operator on numbers keeps. */
const SLOTS = 31

class Search<State, Input, Output> {
  readonly #specification: Specification<State, Input, Output>
  readonly #moments: { readonly at: number; readonly ends: boolean; readonly index: number }[] = []
  readonly #operations: readonly TimedOperation<Input, Output>[]
  readonly #forgotten: ReadonlySet<TimedOperation<Input, Output>>
  readonly #inProgress = new Map<number, InProgress<Input, Output>>()
  readonly #unanswered: Unanswered<Input>[] = []
  #slotsTaken = 0
  #stepsLeft: number
  #configurations: Configuration<State>[]

  /** @param forgotten operations that took effect, and may have had any answer */
  constructor(
    specification: Specification<State, Input, Output>,
    operations: readonly TimedOperation<Input, Output>[],
    stepsMax: number,
    forgotten: ReadonlySet<TimedOperation<Input, Output>> = new Set(),
  ) {
    this.#specification = specification
    this.#operations = operations
    this.#stepsLeft = stepsMax
    this.#forgotten = forgotten
    const state = specification.initial
    this.#configurations = [{ state, key: specification.keyOf(state), done: 0, used: 0n }]
    operations.forEach((operation, index) => {
      this.#moments.push({ at: operation.begun, ends: false, index })
      if (operation.output !== undefined) this.#moments.push({ at: operation.ended, ends: true, index })
    })
    // At one moment, beginnings come first: operations that touch are concurrent.
    this.#moments.sort((a, b) => a.at - b.at || Number(a.ends) - Number(b.ends))
  }

  run(): SearchResult<Input, Output> {
    for (const { ends, index } of this.#moments) {
      const operation = this.#operations[index]
      if (operation === undefined) continue
      if (!ends) {
        this.#begin(operation, index)
        continue
      }
      const current = this.#inProgress.get(index)
      if (current === undefined) continue
      const next = this.#through(current)
      if (next === undefined) return { kind: 'untested' }
      if (next.length === 0) {
        return { kind: 'stuck', culprit: operation, states: this.#reachable() }
      }
      this.#configurations = next
      this.#inProgress.delete(index)
      this.#slotsTaken &= ~current.slotBit
    }
    return { kind: 'linearizable' }
  }

  #begin(operation: TimedOperation<Input, Output>, index: number): void {
    const { input, output } = operation
    if (output === undefined) {
      if (this.#specification.isPure(input, undefined)) return
      const text = this.#specification.describe(input, undefined)
      let alike = 0n
      for (const other of this.#unanswered) {
        if (this.#specification.describe(other.input, undefined) === text) alike |= other.bit
      }
      this.#unanswered.push({ input, bit: 1n << BigInt(this.#unanswered.length), alike })
      return
    }
    const known = this.#forgotten.has(operation) ? undefined : output
    const isPure = this.#specification.isPure(input, known)
    if (isPure && known === undefined) return
    let slotBit = 1
    while ((this.#slotsTaken & slotBit) !== 0) slotBit <<= 1
    if (slotBit >>> 0 >= 2 ** SLOTS) throw new RangeError(`more than ${SLOTS} operations at a time`)
    this.#slotsTaken |= slotBit
    this.#inProgress.set(index, { operation, output: known, isPure, slotBit })
  }

  /** Every configuration in which `target` has taken effect; undefined when that takes too many steps. */
  #through(target: InProgress<Input, Output>): Configuration<State>[] | undefined {
    const found = new Antichains<State>()
    const visited = new Antichains<State>()
    const queue: Configuration<State>[] = []
    const visit = (configuration: Configuration<State>): void => {
      const next = this.#withReads(configuration)
      if ((next.done & target.slotBit) !== 0) found.add({ ...next, done: next.done & ~target.slotBit })
      else if (visited.add(next)) queue.push(next)
    }
    for (const configuration of this.#configurations) visit(configuration)
    for (let from = queue.pop(); from !== undefined; from = queue.pop()) {
      if (--this.#stepsLeft < 0) return undefined
      this.#expand(from, visit)
    }
    return found.all()
  }

  /** What changes nothing and is true in this state takes effect at once: that never closes a way. */
  #withReads(from: Configuration<State>): Configuration<State> {
    let { done } = from
    for (const { operation, output, isPure, slotBit } of this.#inProgress.values()) {
      if (!isPure || (done & slotBit) !== 0) continue
      if (this.#specification.step(from.state, operation.input, output) !== undefined) done |= slotBit
    }
    return done === from.done ? from : { ...from, done }
  }

  #expand(from: Configuration<State>, visit: (next: Configuration<State>) => void): void {
    for (const { operation, output, isPure, slotBit } of this.#inProgress.values()) {
      if (isPure || (from.done & slotBit) !== 0) continue
      const state = this.#specification.step(from.state, operation.input, output)
      if (state === undefined) continue
      visit({ state, key: this.#specification.keyOf(state), done: from.done | slotBit, used: from.used })
    }
    for (const { input, bit, alike } of this.#unanswered) {
      if ((from.used & bit) !== 0n || (alike & ~from.used) !== 0n) continue
      const state = this.#specification.step(from.state, input, undefined)
      if (state === undefined) continue
      const key = this.#specification.keyOf(state)
      if (key !== from.key) visit({ state, key, done: from.done, used: from.used | bit })
    }
  }

  /** Every state that the operations which have begun can lead to. */
  #reachable(): string[] {
    const visited = new Antichains<State>()
    const queue = [...this.#configurations]
    const keys = new Set<string>()
    for (let from = queue.pop(); from !== undefined && keys.size < 20; from = queue.pop()) {
      keys.add(from.key)
      this.#expand(from, (next) => {
        if (visited.add(next)) queue.push(next)
      })
    }
    return [...keys]
  }
}

/** Configurations without those that another one makes superfluous. */
class Antichains<State> {
  readonly #byKey = new Map<string, Configuration<State>[]>()

  /** @returns false when there is one already that can do as much */
  add(configuration: Configuration<State>): boolean {
    const key = `${configuration.done} ${configuration.key}`
    const others = this.#byKey.get(key)
    if (others === undefined) {
      this.#byKey.set(key, [configuration])
      return true
    }
    const { used } = configuration
    if (others.some((other) => (other.used & ~used) === 0n)) return false
    const kept = others.filter((other) => (used & ~other.used) !== 0n)
    kept.push(configuration)
    this.#byKey.set(key, kept)
    return true
  }

  all(): Configuration<State>[] {
    return [...this.#byKey.values()].flat()
  }
}

/** How many operations before the window an explanation shows. */
const CONTEXT = 6

function explain<State, Input, Output>(
  specification: Specification<State, Input, Output>,
  before: readonly TimedOperation<Input, Output>[],
  { culprit, window, states }: Omit<Violation<Input, Output>, 'text'>,
): string {
  const line = (o: TimedOperation<Input, Output>): string => {
    const end = o.output === undefined ? '?' : String(o.ended)
    return `  [${o.begun}, ${end}] ${specification.describe(o.input, o.output)}`
  }
  const from = Math.min(...window.map(({ begun }) => begun))
  const context = before
    .filter((o) => !window.includes(o) && !specification.isPure(o.input, o.output))
    .toSorted((a, b) => a.begun - b.begun)
  const earlier = context.filter((o) => o.output !== undefined && o.ended < from).slice(-CONTEXT)
  const beside = context.filter((o) => o.output !== undefined && o.ended >= from)
  const open = context.filter((o) => o.output === undefined).slice(-CONTEXT)
  return [
    `${specification.describe(culprit.input, culprit.output)} cannot be explained: until it ended the state can only have been ${states.join(' or ')}`,
    'these cannot all be true:',
    ...window.map(line),
    ...(earlier.length > 0 ? ['the last changes before them:', ...earlier.map(line)] : []),
    ...(beside.length > 0 ? ['changes at the same time:', ...beside.map(line)] : []),
    ...(open.length > 0 ? ['changes that may have happened at any time:', ...open.map(line)] : []),
  ].join('\n')
}
