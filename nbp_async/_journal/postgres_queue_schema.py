"""What makes the tables of a run in PostgreSQL its queue, its purses and its limits.

| column | means |
| --- | --- |
| item.ticket | what names a submitted item: the submitter's key, or its nonce; NULL in a `many` |
| item.payer, day | whose purse pays for it, and on which day (UTC) it was submitted |
| item.priority, turn | its place in the queue: highest priority, lowest turn, lowest number |
| item.drawn | which of its session's questions for work it was the answer to |
| item.changed | the transaction that changed it last; see `changes` |
| purse | what one payer's items of one day hold, have cost and may have cost |
| run.is_out, attempt.is_out | requests that are in flight now, as far as the run knows |
| run.next_departure | with a rate, when the next request may leave (generic cell rate algorithm) |
| item.departs | when this item's may leave: its own place in the rate, for a second at most |

Turns are fair queueing: a payer's next item comes after its last one, and not before the turn that
is being served. Whoever submits a million items does not keep one item of another waiting for them.
"""

COLUMNS = """
ALTER TABLE SCHEMA.run
    ADD reserved numeric NOT NULL DEFAULT 0, ADD turn bigint NOT NULL DEFAULT 0,
    ADD paused text, ADD paused_until timestamptz,
    ADD is_out int NOT NULL DEFAULT 0, ADD most_out int,
    ADD rate_seconds float8, ADD burst int NOT NULL DEFAULT 1, ADD next_departure timestamptz,
    ADD spend numeric, ADD spend_seconds float8;
ALTER TABLE SCHEMA.attempt ADD is_out boolean NOT NULL DEFAULT false;
ALTER TABLE SCHEMA.item
    ADD ticket text, ADD payer text, ADD priority int NOT NULL DEFAULT 0,
    ADD turn bigint NOT NULL DEFAULT 0, ADD not_before timestamptz,
    ADD reserved numeric NOT NULL DEFAULT 0, ADD cancelled boolean NOT NULL DEFAULT false,
    ADD drawn bigint, ADD day date NOT NULL DEFAULT (now() AT TIME ZONE 'utc')::date,
    ADD changed bigint NOT NULL DEFAULT 0, ADD departs timestamptz;
CREATE UNIQUE INDEX item_ticket ON SCHEMA.item (run, ticket) WHERE ticket IS NOT NULL;
CREATE INDEX item_queue ON SCHEMA.item (run, priority DESC, turn, id) WHERE state = 'queued';
CREATE INDEX item_of_payer ON SCHEMA.item (run, payer, id) WHERE payer IS NOT NULL;
CREATE INDEX item_owner ON SCHEMA.item (owner) WHERE owner IS NOT NULL;
CREATE INDEX item_changed ON SCHEMA.item (run, changed) WHERE ticket IS NOT NULL;

CREATE TABLE SCHEMA.purse (
    run bigint NOT NULL REFERENCES SCHEMA.run ON DELETE CASCADE,
    payer text NOT NULL, day date NOT NULL,
    held numeric NOT NULL DEFAULT 0, spent numeric NOT NULL DEFAULT 0,
    maybe numeric NOT NULL DEFAULT 0, images bigint NOT NULL DEFAULT 0,
    last_turn bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (run, payer, day)
);
CREATE TABLE SCHEMA.budget (
    run bigint NOT NULL REFERENCES SCHEMA.run ON DELETE CASCADE,
    payer text NOT NULL, period text NOT NULL, dollars numeric NOT NULL,
    PRIMARY KEY (run, payer, period)
);
CREATE TABLE SCHEMA.reference (
    run bigint NOT NULL REFERENCES SCHEMA.run ON DELETE CASCADE,
    digest bytea NOT NULL, data bytea NOT NULL, PRIMARY KEY (run, digest)
);

CREATE FUNCTION SCHEMA.stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed := pg_current_xact_id()::text::bigint;
    RETURN NEW;
END $$;
CREATE TRIGGER stamped BEFORE INSERT OR UPDATE ON SCHEMA.item
    FOR EACH ROW WHEN (NEW.ticket IS NOT NULL) EXECUTE FUNCTION SCHEMA.stamp();
"""

UPGRADE = f"""
{COLUMNS}
UPDATE SCHEMA.attempt SET is_out = true WHERE billing IS NULL AND handle IS NULL AND links IS NULL;
UPDATE SCHEMA.run SET is_out = (
    SELECT count(*) FROM SCHEMA.attempt WHERE attempt.run = run.id AND attempt.is_out);
UPDATE SCHEMA.session SET ended = clock_timestamp() WHERE ended IS NULL;
UPDATE SCHEMA.version SET number = 2;
"""
"""From version 1. Processes of the older version lose their part of the run: they may arm nothing
by rules that hold no more."""

PURSES = """
CREATE OR REPLACE FUNCTION SCHEMA.charge(
    it SCHEMA.item, d_held numeric, d_spent numeric, d_maybe numeric, d_images bigint
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO SCHEMA.purse AS p (run, payer, day, held, spent, maybe, images)
        SELECT it.run, it.payer, it.day, d_held, d_spent, d_maybe, d_images
        WHERE it.payer IS NOT NULL AND (d_held, d_spent, d_maybe, d_images) <> (0, 0, 0, 0)
    ON CONFLICT (run, payer, day) DO UPDATE SET held = p.held + d_held, spent = p.spent + d_spent,
        maybe = p.maybe + d_maybe, images = p.images + d_images
$$;

-- What is left of this payer's budgets for an item of that day; NULL without budgets.
CREATE OR REPLACE FUNCTION SCHEMA.left_of_budget(p_run bigint, p_payer text, p_day date)
RETURNS numeric LANGUAGE sql STABLE AS $$
    SELECT min(b.dollars - (
        SELECT coalesce(sum(held + spent + maybe), 0) FROM SCHEMA.purse p
        WHERE p.run = p_run AND p.payer = p_payer AND CASE b.period
            WHEN 'day' THEN p.day = p_day
            WHEN 'month' THEN date_trunc('month', p.day) = date_trunc('month', p_day)
            ELSE true END))
    FROM SCHEMA.budget b WHERE b.run = p_run AND b.payer = p_payer
$$;

-- Seconds until this item's request may leave; 0: now. The run's row is locked: it is exact.
CREATE OR REPLACE FUNCTION SCHEMA.seconds_to_wait(r SCHEMA.run, it SCHEMA.item, p_most numeric)
RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE recent numeric;
BEGIN
    IF r.paused IS NOT NULL OR r.is_out >= r.most_out THEN
        RETURN 0.25;
    END IF;
    IF r.paused_until > clock_timestamp() THEN
        RETURN extract(epoch FROM r.paused_until - clock_timestamp());
    END IF;
    IF r.spend IS NOT NULL THEN
        SELECT coalesce(sum(CASE WHEN billing IS NULL THEN most ELSE cost END), 0) INTO recent
            FROM SCHEMA.attempt WHERE run = r.id AND billing IS DISTINCT FROM 'no' AND (written
                IS NULL OR written > clock_timestamp() - r.spend_seconds * interval '1 s');
        IF recent + p_most > r.spend THEN
            RETURN 1;
        END IF;
    END IF;
    RETURN CASE WHEN r.rate_seconds IS NULL THEN 0 ELSE SCHEMA.seconds_to_departure(r, it) END;
END $$;

-- If all who wait asked again at the same moment, one of them would leave, and as long as its
-- commit takes nobody would: each gets a moment of its own. Who comes too late for it gets another.
CREATE OR REPLACE FUNCTION SCHEMA.seconds_to_departure(r SCHEMA.run, it SCHEMA.item)
RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz := clock_timestamp(); step interval := r.rate_seconds * interval '1 s';
    own timestamptz := it.departs;
BEGIN
    IF own IS NULL OR own < moment - interval '0.25 s' THEN
        own := greatest(moment, r.next_departure - step * (r.burst - 1));
        IF own > moment + interval '1 s' THEN
            RETURN extract(epoch FROM own - moment) - 0.5;  -- while others are still to leave
        END IF;
        UPDATE SCHEMA.run SET next_departure = greatest(next_departure, moment) + step
            WHERE id = r.id;
    END IF;
    UPDATE SCHEMA.item SET departs = CASE WHEN own > moment THEN own END
        WHERE id = it.id AND departs IS DISTINCT FROM CASE WHEN own > moment THEN own END;
    RETURN greatest(extract(epoch FROM own - moment), 0);
END $$;
"""

QUEUE = """
-- For each job its item, and 'queued', 'known' (the same ticket was submitted before), 'other' (it
-- stands for another job), 'cap' or 'budget' and what is left. Without p_part all jobs are queued,
-- or none.
CREATE OR REPLACE FUNCTION SCHEMA.submit(
    p_run bigint, p_session bigint, p_payer text, p_priority int, p_not_before timestamptz,
    p_cap numeric, p_part boolean, p_tickets text[], p_identities bytea[], p_places int[],
    p_nonces text[], p_asked text[], p_most numeric[]
) RETURNS TABLE (number bigint, said text) LANGUAGE plpgsql AS $$
DECLARE
    r SCHEMA.run; it SCHEMA.item; today date := (now() AT TIME ZONE 'utc')::date;
    remaining numeric; budget_left numeric; which text; wanted numeric := 0; last bigint;
BEGIN
    SELECT * INTO r FROM SCHEMA.run WHERE id = p_run FOR UPDATE;
    remaining := p_cap - r.held - r.spent - r.maybe - r.reserved;
    budget_left := SCHEMA.left_of_budget(p_run, p_payer, today);
    which := CASE WHEN budget_left < remaining OR remaining IS NULL THEN 'budget ' ELSE 'cap ' END;
    remaining := least(remaining, budget_left);
    SELECT coalesce(max(last_turn), 0) INTO last FROM SCHEMA.purse
        WHERE run = p_run AND payer = p_payer;
    last := greatest(last, r.turn);
    IF NOT p_part THEN
        SELECT coalesce(sum(m), 0) INTO wanted FROM unnest(p_tickets, p_most) AS j (t, m)
            WHERE NOT EXISTS (SELECT FROM SCHEMA.item i WHERE i.run = p_run AND i.ticket = t);
        IF wanted > remaining THEN
            RETURN QUERY SELECT 0::bigint, which || remaining;
            RETURN;
        END IF;
    END IF;
    wanted := 0;
    FOR n IN 1 .. cardinality(p_tickets) LOOP
        SELECT * INTO it FROM SCHEMA.item WHERE run = p_run AND ticket = p_tickets[n];
        IF FOUND THEN
            number := it.id;
            said := CASE WHEN it.identity = p_identities[n] THEN 'known' ELSE 'other' END;
        ELSIF p_most[n] > remaining THEN
            number := 0;
            said := which || remaining;
        ELSE
            last := last + 1;
            INSERT INTO SCHEMA.item (run, identity, ordinal, place, state, nonce, asked, ticket,
                    payer, priority, turn, not_before, reserved)
                SELECT p_run, p_identities[n], coalesce(max(ordinal) + 1, 0), p_places[n],
                    'queued', p_nonces[n], p_asked[n], p_tickets[n], p_payer, p_priority, last,
                    p_not_before, p_most[n]
                FROM SCHEMA.item WHERE run = p_run AND identity = p_identities[n]
                RETURNING * INTO it;
            wanted := wanted + p_most[n];
            remaining := remaining - p_most[n];
            number := it.id;
            said := 'queued';
        END IF;
        RETURN NEXT;
    END LOOP;
    UPDATE SCHEMA.run SET reserved = reserved + wanted WHERE id = p_run;
    INSERT INTO SCHEMA.purse AS p (run, payer, day, held, last_turn)
        VALUES (p_run, p_payer, today, wanted, last)
    ON CONFLICT (run, payer, day) DO UPDATE SET held = p.held + wanted, last_turn = last;
END $$;

-- The next items of the queue, or of p_items, which are this session's from now on. The same
-- question, asked once more because the answer was lost, has the same answer.
CREATE OR REPLACE FUNCTION SCHEMA.draw(
    p_run bigint, p_session bigint, p_question bigint, p_count int, p_items bigint[]
) RETURNS SETOF SCHEMA.entry LANGUAGE plpgsql AS $$
BEGIN
    IF SCHEMA.is_alive(p_session) AND NOT EXISTS (
            SELECT FROM SCHEMA.item
            WHERE owner = p_session AND drawn = p_question AND state = 'planned') THEN
        WITH next AS (
            SELECT id, turn FROM SCHEMA.item
            WHERE run = p_run AND state = 'queued' AND (p_items IS NULL OR id = ANY (p_items))
                AND (not_before IS NULL OR not_before <= clock_timestamp())
                AND NOT EXISTS (SELECT FROM SCHEMA.run WHERE id = p_run AND paused IS NOT NULL)
            ORDER BY priority DESC, turn, id LIMIT p_count FOR UPDATE SKIP LOCKED
        ), served AS (
            UPDATE SCHEMA.run SET turn = greatest(run.turn, (SELECT max(turn) FROM next))
            WHERE id = p_run AND EXISTS (SELECT FROM next)
        )
        UPDATE SCHEMA.item i SET state = 'planned', owner = p_session, drawn = p_question,
            since = clock_timestamp() FROM next WHERE i.id = next.id;
    END IF;
    RETURN QUERY SELECT e.* FROM SCHEMA.item i, LATERAL SCHEMA.entry_of(i, 'ours') e
        WHERE i.owner = p_session AND i.drawn = p_question AND i.state = 'planned'
        ORDER BY i.priority DESC, i.turn, i.id;
END $$;

-- 'cancelled': it was in the queue. 'out': it may have been sent, and only with p_out it is ended
-- at its price. 'ended': it has an outcome.
CREATE OR REPLACE FUNCTION SCHEMA.cancel(
    p_run bigint, p_session bigint, p_items bigint[], p_out boolean
) RETURNS TABLE (number bigint, said text) LANGUAGE plpgsql AS $$
DECLARE it SCHEMA.item;
BEGIN
    FOR it IN SELECT * FROM SCHEMA.item WHERE run = p_run AND id = ANY (p_items)
            AND ticket IS NOT NULL ORDER BY id FOR UPDATE LOOP
        number := it.id;
        IF it.state = 'queued' THEN
            UPDATE SCHEMA.item SET state = 'failed', reason = 'CancelledAttemptError',
                message = 'Cancelled before it was sent.', reserved = 0, cancelled = true,
                ended = clock_timestamp() WHERE id = it.id;
            UPDATE SCHEMA.run SET reserved = reserved - it.reserved WHERE id = p_run;
            PERFORM SCHEMA.charge(it, - it.reserved, 0, 0, 0);
            said := 'cancelled';
        ELSIF it.state IN ('stored', 'failed') THEN
            said := CASE WHEN it.cancelled AND it.state = 'failed' THEN 'cancelled'
                ELSE 'ended' END;
        ELSE
            UPDATE SCHEMA.item SET cancelled = true WHERE id = it.id AND p_out;
            said := 'out';
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;

-- Into the queue again: those that failed, were not billed, and fit. Gives those that are in it.
CREATE OR REPLACE FUNCTION SCHEMA.requeue(
    p_run bigint, p_session bigint, p_items bigint[], p_most numeric[], p_cap numeric
) RETURNS TABLE (number bigint, said text) LANGUAGE plpgsql AS $$
DECLARE it SCHEMA.item; r SCHEMA.run; remaining numeric; today date;
BEGIN
    today := (now() AT TIME ZONE 'utc')::date;
    FOR n IN 1 .. cardinality(p_items) LOOP
        SELECT * INTO r FROM SCHEMA.run WHERE id = p_run FOR UPDATE;
        SELECT * INTO it FROM SCHEMA.item WHERE run = p_run AND id = p_items[n]
            AND ticket IS NOT NULL FOR UPDATE;
        number := p_items[n];
        remaining := least(p_cap - r.held - r.spent - r.maybe - r.reserved,
            SCHEMA.left_of_budget(p_run, it.payer, today));
        IF it.state = 'queued' THEN
            said := 'queued';
        ELSIF it.state IS DISTINCT FROM 'failed' OR EXISTS (
                SELECT FROM SCHEMA.attempt WHERE item = it.id AND billing IS DISTINCT FROM 'no')
        THEN
            said := 'no';
        ELSIF remaining < p_most[n] THEN
            said := 'cap ' || remaining;
        ELSE
            UPDATE SCHEMA.item SET state = 'queued', owner = NULL, reserved = p_most[n],
                cancelled = false, day = today, turn = greatest(turn, r.turn), reason = '',
                message = '' WHERE id = it.id RETURNING * INTO it;
            UPDATE SCHEMA.run SET reserved = reserved + p_most[n] WHERE id = p_run;
            PERFORM SCHEMA.charge(it, p_most[n], 0, 0, 0);
            said := 'queued';
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;
"""
