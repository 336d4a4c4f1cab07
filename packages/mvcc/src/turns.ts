import type { Clock } from '@etcd-ts/platform'

/** Lets pieces of work that take several turns of the event loop run one after the other, in the order they came. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve()

  run<T>(work: () => Promise<T> | T): Promise<T> {
    const done = this.#last.then(work)
    // The next piece does not care how this one ended; who asked for it does.
    this.#last = done.catch(() => undefined)
    return done
  }
}

/** Resolves when everything that waits for this thread has had its turn. */
export function yieldTurn(clock: Clock): Promise<void> {
  return new Promise((resolve) => clock.soon(resolve))
}
