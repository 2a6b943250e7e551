"""Collecting feedback: what annotators are asked, and the server that asks them.

schema, questions, live, policy, workflow, project_file
                     a project as data: what is asked, of whom, and the way of an item
items, item_rows, importing, export, snapshots
                     rows in, judgments out
work                 a piece of work to the page and back; `flow` moves items, `gate` says why there is none
reviewing, calibrating, consensus, verdicts, sampling, standing, reading
                     second looks, rounds of calibration, taking judgments together, how people stand
conversing, turns, transcripts
                     conversations with live models
app, serving         the server, put together and started; `security`, `keyed`, `rates`, `problems`,
                     `paging` and `telemetry` hold for all routes; *_routes are the interface, *_pages and
                     `rooms` the pages
screen, forms, keys, prefetch, markdown, mathematics, describing, charts, catalog
                     what pages are made of
dashboard, progress, queue_health, own_work
                     what leads see, and what people see of themselves
guidelines, definitions, changes
                     versions, and what changed
delivery, oidc       other servers: messages to them, people who sign in through them
invariants           whether a store keeps its promises
"""
