/**
 * Settings of every projection's queue. One message is applied at a time: it brings the view to the head, so
 * more at once would only wait.
 */
export const PROJECTION_QUEUE = {
  type: 'standard',
  concurrency: 1,
  max_retries: 10,
  backoff_ms: 200,
} as const
