/** Width of a slot; deadlines are kept late by at most this. */
const SLOT_MS = 10
const SLOT_COUNT = 1024

/** What has a deadline. The links belong to the wheel. */
export interface Deadlined {
  /** On the clock of `performance.now()`. */
  deadlineAtMs: number
  deadlineNext: Deadlined | undefined
  deadlinePrevious: Deadlined | undefined
  /** Its place in the wheel, or -1 while it is in none. */
  deadlineSlot: number
  /** Called once when the time has come; a call may have ended in the same turn. */
  onDeadline(): void
}

/**
 * The deadlines of many calls on one timer: a hashed wheel of linked lists, so that setting and dropping one is O(1)
 * and allocates nothing. The timer is set for the next slot that is in use, and not at all when none is.
 */
export class DeadlineWheel {
  readonly #slots: (Deadlined | undefined)[] = new Array<Deadlined | undefined>(SLOT_COUNT).fill(undefined)
  #size = 0
  /** Every tick before this has been looked at. */
  #tick = 0
  #timer: NodeJS.Timeout | undefined
  #timerTick = Infinity

  add(item: Deadlined): void {
    const nowTick = Math.floor(performance.now() / SLOT_MS)
    if (this.#size === 0) this.#tick = nowTick
    const tick = Math.max(Math.ceil(item.deadlineAtMs / SLOT_MS), this.#tick)
    const slot = tick % SLOT_COUNT
    const first = this.#slots[slot]
    item.deadlineSlot = slot
    item.deadlineNext = first
    item.deadlinePrevious = undefined
    if (first !== undefined) first.deadlinePrevious = item
    this.#slots[slot] = item
    this.#size++
    // A deadline more than one turn of the wheel away is met, and left in place, on the way.
    this.#wakeAt(Math.min(tick, this.#tick + SLOT_COUNT - 1))
  }

  remove(item: Deadlined): void {
    if (item.deadlineSlot < 0) return
    const { deadlineNext: next, deadlinePrevious: previous } = item
    if (next !== undefined) next.deadlinePrevious = previous
    if (previous !== undefined) previous.deadlineNext = next
    else this.#slots[item.deadlineSlot] = next
    item.deadlineSlot = -1
    item.deadlineNext = undefined
    item.deadlinePrevious = undefined
    this.#size--
  }

  #wakeAt(tick: number): void {
    if (tick >= this.#timerTick) return
    clearTimeout(this.#timer)
    this.#timerTick = tick
    const delayMs = Math.max(1, tick * SLOT_MS - performance.now())
    this.#timer = setTimeout(() => this.#turn(), delayMs).unref()
  }

  #turn(): void {
    this.#timer = undefined
    this.#timerTick = Infinity
    const nowMs = performance.now()
    const last = Math.min(Math.floor(nowMs / SLOT_MS), this.#tick + SLOT_COUNT - 1)
    const due: Deadlined[] = []
    for (; this.#tick <= last; this.#tick++) this.#collect(this.#slots[this.#tick % SLOT_COUNT], nowMs, due)
    this.#wakeForNext()
    for (const item of due) item.onDeadline()
  }

  #wakeForNext(): void {
    if (this.#size === 0) return
    for (let tick = this.#tick; tick < this.#tick + SLOT_COUNT; tick++)
      if (this.#slots[tick % SLOT_COUNT] !== undefined) {
        this.#wakeAt(tick)
        return
      }
  }

  /** Takes what is due out of a list first: ending one call may end others. */
  #collect(first: Deadlined | undefined, nowMs: number, due: Deadlined[]): void {
    let item = first
    while (item !== undefined) {
      const next: Deadlined | undefined = item.deadlineNext
      if (item.deadlineAtMs <= nowMs) {
        this.remove(item)
        due.push(item)
      }
      item = next
    }
  }
}
