export { type Clock, type Timer, systemClock } from './clock.ts'
export { type Random, systemRandom } from './random.ts'
