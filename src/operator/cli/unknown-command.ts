import type { Command } from 'commander'
import { suggest } from '../../config/suggest.ts'

/** A command and all commands below it. */
export function allCommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap((inner) => allCommands(inner))]
}

/** The command as it is typed, e.g. `cqrs dlq list`. */
export function fullName(command: Command): string {
  return command.parent ? `${fullName(command.parent)} ${command.name()}` : command.name()
}

/**
 * Ends the program because a command has no subcommand of this name. Says where there is one, or else which name is
 * near. The place comes first, because a near name can be a command that does harm: `prune` is near to `pause`.
 *
 * @throws CommanderError
 */
export function refuseUnknown(command: Command, word: string): never {
  const elsewhere = allCommands(rootOf(command)).filter((each) => each.name() === word)
  const names = command.commands.map((inner) => inner.name())
  const meant = elsewhere.map((each) => `"${fullName(each)}"`).join(' or ') || suggest(word, names)
  return command.error(`error: unknown command '${word}'${meant ? `\n(Did you mean ${meant}?)` : ''}`)
}

function rootOf(command: Command): Command {
  return command.parent ? rootOf(command.parent) : command
}
