import { EntryType, MessageType } from './messages.ts'

const messageNames = new Map<number, string>(Object.entries(MessageType).map(([name, type]) => [type, name]))
const entryNames = new Map<number, string>(Object.entries(EntryType).map(([name, type]) => [type, name]))

export function messageTypeName(type: MessageType): string {
  return messageNames.get(type) ?? String(type)
}

export function entryTypeName(type: EntryType): string {
  return entryNames.get(type) ?? String(type)
}
