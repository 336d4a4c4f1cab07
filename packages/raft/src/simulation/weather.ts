import { NO_LIMIT } from '../messages.ts'
import type { Plant } from './plants.ts'
import type { MemberOptions } from './sim-member.ts'
import type { NetworkOptions } from './sim-network.ts'
import type { SimRandom } from './sim-random.ts'

/** How often things happen, in percent of rounds or of opportunities. */
export interface Weather {
  readonly crash: number
  /** All members at once. */
  readonly blackout: number
  readonly restart: number
  readonly partition: number
  readonly heal: number
  readonly standstill: number
  /** A clock gets another speed, or jumps ahead. */
  readonly skew: number
  readonly transfer: number
  readonly confChange: number
  readonly propose: number
  readonly read: number
  readonly snapshot: number
  readonly disk: number
  readonly apply: number
}

const fair: Weather = {
  crash: 1.5,
  blackout: 0.1,
  restart: 4,
  partition: 1,
  heal: 3,
  standstill: 1,
  skew: 1,
  transfer: 4,
  confChange: 3,
  propose: 40,
  read: 15,
  snapshot: 4,
  disk: 60,
  apply: 60,
}

/** Members that ask again after a restart, leaders that stand still and do not know that they lead no more. */
const readers: Weather = {
  ...fair,
  crash: 4,
  restart: 40,
  standstill: 3,
  read: 60,
  confChange: 0.5,
  partition: 2,
}

const weathers: readonly Weather[] = [
  fair,
  fair,
  // Leaders come and go before they have got anywhere.
  { ...fair, crash: 6, restart: 15, partition: 5, heal: 10, transfer: 8, confChange: 1 },
  // What is written and applied is far behind.
  { ...fair, disk: 8, apply: 8, transfer: 8 },
  // Always in the middle of a membership change.
  { ...fair, confChange: 15, crash: 3, restart: 12, apply: 20 },
  // Power is lost everywhere, again and again.
  { ...fair, blackout: 2, restart: 20, disk: 30 },
  // Whoever was away for a while needs a snapshot.
  { ...fair, snapshot: 25, crash: 3, partition: 3, propose: 80 },
  readers,
]

/** Reads above all: their contexts come again, and each answer to a heartbeat arrives twice. */
export type Focus = 'reads'

export function chooseWeather(random: SimRandom, focus: Focus | undefined): Weather {
  const weather = random.pick(weathers)
  return focus === 'reads' ? readers : weather
}

export function chooseFounders(random: SimRandom): bigint[] {
  return [1n, 2n, 3n, 4n, 5n, 6n, 7n].slice(0, random.pick([1, 2, 3, 3, 3, 4, 5, 5, 7]))
}

export function chooseMemberOptions(random: SimRandom, plant: Plant | undefined): MemberOptions {
  const checkQuorum = random.chance(60)
  return {
    electionTicks: random.pick([4, 10, 10]),
    heartbeatTicks: random.between(1, 3),
    asyncStorageWrites: random.chance(70),
    maxSizePerMessage: random.pick([0, 60, 300, NO_LIMIT]),
    maxCommittedSizePerReady: random.pick([1, 100, NO_LIMIT]),
    maxUncommittedSize: random.pick([200, NO_LIMIT]),
    maxInflightMessages: random.pick([1, 3, 256]),
    checkQuorum: checkQuorum || plant === 'readWithoutQuorum',
    preVote: random.chance(60),
    readOnlyOption: plant === 'readWithoutQuorum' ? 'leaseBased' : 'safe',
    stepDownOnRemoval: random.chance(50),
    disableProposalForwarding: random.chance(10),
  }
}

export function chooseNetwork(random: SimRandom, focus: Focus | undefined): NetworkOptions {
  return {
    lossPercent: random.pick([0, 2, 10, 30]),
    duplicatePercent: random.pick([0, 2, 20, 50]),
    delayMax: random.pick([1, 3, 8]),
    stragglerPercent: random.pick([0, 5]),
    echoPercent: Math.max(random.pick([0, 100]), focus === 'reads' ? 100 : 0),
  }
}

export const calm: NetworkOptions = {
  lossPercent: 0,
  duplicatePercent: 0,
  delayMax: 1,
  stragglerPercent: 0,
  echoPercent: 0,
}
