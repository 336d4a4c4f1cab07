import type { ScriptOptions } from './completion.ts'
import type { Choice, Choices } from './places.ts'

/** The script for PowerShell. */
export function powershellScript({ places, globals }: Choices, { descriptions }: ScriptOptions): string {
  const item = ({ word, about }: Choice): string =>
    `,@(${quoted(word)}, ${quoted(descriptions ? about : word)})`
  const list = (choices: readonly Choice[]): string => `@(${choices.map(item).join('; ')})`
  const cases = places.map(({ path, commands, flags }) => {
    return `    ${quoted(path)} = @{ commands = ${list(commands)}; flags = ${list(flags)} }`
  })
  return `# PowerShell completion for etcdctl
Register-ArgumentCompleter -Native -CommandName etcdctl -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $places = @{
${cases.join('\n')}
  }
  $globals = ${list(globals)}
  $at = ''
  foreach ($element in $commandAst.CommandElements | Select-Object -Skip 1) {
    if ($element.Extent.EndOffset -ge $cursorPosition) { break }
    $step = "$at $element".Trim()
    if ($places.ContainsKey($step)) { $at = $step }
  }
  $choices = if ($wordToComplete.StartsWith('-')) { $places[$at].flags + $globals } else { $places[$at].commands }
  foreach ($choice in $choices) {
    if ($choice[0].StartsWith($wordToComplete)) {
      [System.Management.Automation.CompletionResult]::new($choice[0], $choice[0], 'ParameterValue', $choice[1])
    }
  }
}
`
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}
