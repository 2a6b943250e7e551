"""The loop of rounds: sample, choose, ask, agree, learn a reward, optimize, examine, release or not."""
