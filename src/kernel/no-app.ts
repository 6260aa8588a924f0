import { defineApp } from './app.ts'

/** The app of a system that has none, only the queue: nothing is defined in it. */
export default defineApp({ name: 'no-app', deciders: [] })
