export {
  createLogger,
  silentLogger,
  writeNotes,
  type LogFields,
  type Logger,
  type RootLogger,
} from './logger.ts'
