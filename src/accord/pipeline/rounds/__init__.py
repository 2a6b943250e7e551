"""The loop of rounds: sample, choose, ask, agree, learn a reward, optimize, examine, release or not.

loop, round          the whole and one round, what passes from stage to stage; `state` is held between
running, planning    a loop as a run of a workspace; what it will do, before it does anything
plan                 the config
answers, choosing    answers sampled, questions drawn from them; `queues` are what gates ask to be drawn
jury                 the judges of a round, reached by `bench` (store, server) at a `desk` (a project);
                     `panel` are the simulated ones, `guests` who joins them, `staff` the word on each
agreeing, snapshot   judgments become the preferences that are learnt, kept by content
grading              what a written policy adds; `scorers`, `guard` what else scores and stops a policy
measuring            candidate against incumbent, all numbers; `examining` those of votes and reward
watching, monitors   what each round saw, and what moved between two
releasing, closing   gates, ledger and rules to stop; the record of a round. `recording` writes files
reading, notifying   a run's files without anything that trains; telling another server
board, page          on the server and as a report, with sections `moved_page` and `policy_page`
"""
