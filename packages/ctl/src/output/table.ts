/** The `table` format: headings in capitals and centred, cells to the right, long cells on several lines. */

const CELL_WIDTH_MAX = 30
/** Cost of a line that is longer than allowed. */
const TOO_LONG = 1e5

/** Rows of cells as a table with frame. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map(wrap))
  const widths = headings.map((heading, column) => {
    return Math.max(widthOf(heading), ...cells.flatMap((row) => row[column]!.map(widthOf)))
  })
  const rule = `+${widths.map((width) => '-'.repeat(width + 2)).join('+')}+\n`
  const head = line(headings.map((heading, i) => centre(heading.toUpperCase(), widths[i]!)))
  const body = cells.map((row) => {
    const height = Math.max(...row.map((lines) => lines.length))
    return Array.from({ length: height }, (_, i) => {
      return line(row.map((lines, column) => right(lines[i] ?? '', widths[column]!)))
    }).join('')
  })
  return rule + head + rule + body.join('') + rule
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |\n`
}

function centre(text: string, width: number): string {
  const space = width - widthOf(text)
  return ' '.repeat(Math.floor(space / 2)) + text + ' '.repeat(Math.ceil(space / 2))
}

function right(text: string, width: number): string {
  return ' '.repeat(width - widthOf(text)) + text
}

function widthOf(text: string): number {
  return Array.from(text).length
}

/**
 * A cell's lines: broken at blanks where the squares of the blanks left over at the line ends add up to the
 * least; the last line costs nothing. A word that is longer than a line makes all lines as long.
 */
function wrap(text: string): string[] {
  const words = text.replaceAll('\n', ' ').split(' ')
  const width = Math.max(CELL_WIDTH_MAX, ...words.map(widthOf))
  const cost: number[] = []
  const breaks: number[] = []
  for (let first = words.length - 1; first >= 0; first--) {
    if (widthOf(words.slice(first).join(' ')) <= width) {
      cost[first] = 0
      breaks[first] = words.length
      continue
    }
    cost[first] = Infinity
    for (let next = first + 1; next < words.length; next++) {
      const left = width - widthOf(words.slice(first, next).join(' '))
      const total = left * left + cost[next]! + (left < 0 ? TOO_LONG : 0)
      if (total < cost[first]!) {
        cost[first] = total
        breaks[first] = next
      }
    }
  }
  const lines: string[] = []
  for (let first = 0; first < words.length; first = breaks[first]!) {
    lines.push(words.slice(first, breaks[first]).join(' '))
  }
  return lines
}
