/**
 * Where a resource belongs: `after` registers what frees it. A `TestContext` of node:test is one, and so is
 * `{ after }` with the function of that name for what a whole file or suite shares.
 */
export interface Scope {
  after(free: () => void | Promise<void>): void
}

type Free = () => void | Promise<void>

const stacks = new WeakMap<Scope, Free[]>()

/**
 * Frees a resource at the end of `scope`, the youngest resource first (node:test alone would free the oldest first: a
 * directory before the server that writes to it). Every resource is freed, and then the first failure is thrown.
 */
export function freeAfter(scope: Scope, free: Free): void {
  const stack = stacks.get(scope)
  if (stack !== undefined) {
    stack.push(free)
    return
  }
  const newStack = [free]
  stacks.set(scope, newStack)
  scope.after(async () => {
    const failures: unknown[] = []
    for (let next = newStack.pop(); next !== undefined; next = newStack.pop()) {
      try {
        await next()
      } catch (error) {
        failures.push(error)
      }
    }
    stacks.delete(scope)
    if (failures.length > 0) throw failures[0]
  })
}

/** A scope that its owner ends, for what a suite makes in `before`: register `after(() => scope.end())` beside it. */
export class ManualScope implements Scope {
  readonly #frees: Free[] = []

  after(free: Free): void {
    this.#frees.push(free)
  }

  async end(): Promise<void> {
    for (const free of this.#frees.splice(0)) await free()
  }
}
