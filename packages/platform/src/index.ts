export { type Clock, type Timer, systemClock } from './clock.ts'
export { crc32c, crc32cOfView } from './crc32c.ts'
export {
  DirectoryInUseError,
  type DirectoryLock,
  type Disk,
  type DiskFile,
  type FileStat,
  type OpenMode,
  errorCode,
  makeDurableDirectory,
} from './disk.ts'
export { SystemDisk, systemDisk } from './disk-system.ts'
export { type Random, systemRandom } from './random.ts'
