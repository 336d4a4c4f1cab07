import { ConfChangeError, type Membership, changeSimply, enterJoint, leaveJoint } from '../changer.ts'
import type { ConfChangeSingle } from '../conf-change.ts'
import {
  ConfChangeTextError,
  describeConfig,
  describeProgressMap,
  parseConfChanges,
} from '../describe-config.ts'
import { Tracker } from '../tracker.ts'
import type { Case } from './case-file.ts'

/** Runs `simple`, `enter-joint` and `leave-joint` on one configuration. */
export class ConfChangeCases {
  readonly #tracker = new Tracker(10, Infinity)
  #lastIndex = 0

  run(one: Case): string {
    try {
      const { config, progress } = this.#change(one, parseConfChanges(one.input))
      this.#tracker.replace(config, progress)
      return `${describeConfig(config)}\n${describeProgressMap(progress)}`
    } catch (error) {
      if (error instanceof ConfChangeError || error instanceof ConfChangeTextError)
        return `${error.message}\n`
      throw error
    } finally {
      this.#lastIndex++
    }
  }

  #change({ command, args }: Case, changes: readonly ConfChangeSingle[]): Membership {
    switch (command) {
      case 'simple':
        return changeSimply(this.#tracker, this.#lastIndex, changes)
      case 'enter-joint': {
        const autoLeave = args.find(({ key }) => key === 'autoleave')?.values[0] === 'true'
        return enterJoint(this.#tracker, this.#lastIndex, autoLeave, changes)
      }
      case 'leave-joint':
        if (changes.length > 0) throw new ConfChangeTextError('this command takes no input')
        return leaveJoint(this.#tracker, this.#lastIndex)
      default:
        throw new ConfChangeTextError('unknown command')
    }
  }
}
