import { CqrsError } from '../kernel/errors.ts'

/** `${NAME}` or `${NAME:default}`. */
const VARIABLE = /\$\{([^}:]+)(?::([^}]*))?\}/g

/**
 * Replaces environment variables in a text as iii does: `${NAME}` or `${NAME:default}` anywhere, even in comments,
 * before the text is parsed.
 *
 * @throws CqrsError CQRS_CONFIG_INVALID if a variable without a default is not set
 */
export function expandVariables(text: string, env: Readonly<NodeJS.ProcessEnv>): string {
  return text.replaceAll(VARIABLE, (_, name: string, fallback?: string) => {
    const value = env[name] ?? fallback
    if (value !== undefined) return value
    throw new CqrsError(
      'CQRS_CONFIG_INVALID',
      `The configuration uses \${${name}}, but this environment variable is not set: set it, or write \${${name}:default}.`,
    )
  })
}

/** The names of the variables that {@link expandVariables} looks for in a text. */
export function variablesIn(text: string): string[] {
  return [...text.matchAll(VARIABLE)].map(([, name = '']) => name)
}
