// Log lines of several members, for people: `etcd1 | info  message key=value`, from the JSON that members write.

/** Longer lines are cut; what a member is started with fills a screen otherwise. */
const LENGTH_MAX = 400
const HIDDEN = new Set(['level', 'ts', 'caller', 'logger', 'msg', 'stacktrace'])

const DIM = '2'
const RED = '31'
const YELLOW = '33'
const MEMBER_COLOURS = ['36', '35', '32', '34', '33', '31']
const LEVEL_COLOURS = { debug: DIM, info: DIM, warn: YELLOW, error: RED, dpanic: RED, panic: RED, fatal: RED }

/** Makes text coloured where colours are wanted. */
export function painter(wanted) {
  return (colour, text) => (wanted ? `\x1b[${colour}m${text}\x1b[0m` : text)
}

/** The prefix of the lines of member `index`. */
export function prefixOf(name, index, paint) {
  return paint(MEMBER_COLOURS[index % MEMBER_COLOURS.length], `${name} |`)
}

/** One line of a member's log; what is not JSON stays as it is. */
export function renderLine(line, paint) {
  let entry
  try {
    entry = JSON.parse(line)
  } catch {
    return line // a message of the runtime, or of a program that logs in another form
  }
  if (entry === null || typeof entry !== 'object' || typeof entry.msg !== 'string') return line
  const level = String(entry.level ?? 'info')
  const fields = Object.entries(entry)
    .filter(([name]) => !HIDDEN.has(name))
    .map(([name, value]) => `${name}=${renderValue(value)}`)
    .join(' ')
  const text = `${paint(LEVEL_COLOURS[level] ?? DIM, level.padEnd(5))} ${entry.msg}`
  const room = LENGTH_MAX - entry.msg.length
  return fields === ''
    ? text
    : `${text} ${paint(DIM, fields.length > room ? `${fields.slice(0, room)} ...` : fields)}`
}

function renderValue(value) {
  if (typeof value === 'string') return /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value)
  return Array.isArray(value) ? `[${value.map(renderValue).join(',')}]` : JSON.stringify(value)
}
