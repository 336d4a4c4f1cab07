export { type Clock, type Timer, systemClock } from './clock.ts'
export { crc32c, crc32cOfView } from './crc32c.ts'
export { type Random, systemRandom } from './random.ts'
