package machine

import (
	"math/rand/v2"
	"slices"
	"testing"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

func (u *unitRegion) kind() model.ResourceKind {
	if u.stream {
		return model.KindStream
	}
	return model.KindQueue
}

// digest sums over a unit, page by page.
func (u *unitRegion) digest(key model.UnitKey, q model.DigestQuery) (all []model.DigestRun) {
	u.t.Helper()
	for q.Kind, q.Shard = u.kind(), key.Shard; ; {
		out, err := Query(u.view, &model.Query{Kind: model.QueryDigest, Resource: 5, Slot: key.Slot, Body: q.Append(nil)})
		if err != nil {
			u.t.Fatal(err)
		}
		res := decodeAs[model.DigestResult](u.t, out.Body)
		all = append(all, res.Runs...)
		if q.Lo = res.Next; len(q.Lo) == 0 {
			return all
		}
	}
}

func (u *unitRegion) look(key model.UnitKey, places ...[]byte) model.LookResult {
	u.t.Helper()
	q := model.LookQuery{Kind: u.kind(), Tablet: 1, Shard: key.Shard, Places: places}
	out, err := Query(u.view, &model.Query{Kind: model.QueryLook, Resource: 5, Slot: key.Slot, Body: q.Append(nil)})
	if err != nil || out.Status != model.StatusOK {
		u.t.Fatal(out.Status, err)
	}
	res := decodeAs[model.LookResult](u.t, out.Body)
	res.Rename(0, u.self)
	return res
}

// sums lists all that a unit holds.
func (u *unitRegion) sums(key model.UnitKey) (all []model.KeySum) {
	for _, run := range u.digest(key, model.DigestQuery{Grain: 5, List: 5, MaxBytes: 300}) {
		all = append(all, run.Keys...)
	}
	return all
}

// agree requires that two regions which hold the same sum and count alike.
func agree(a, b *unitRegion, grain uint64) {
	a.t.Helper()
	for _, key := range a.units() {
		runs := a.digest(key, model.DigestQuery{Grain: grain, List: grain / 2, MaxBytes: 1 << 20})
		var ends []model.DigestEnd
		for _, r := range runs {
			ends = append(ends, model.DigestEnd{Hi: r.Hi, Listed: r.Listed})
		}
		other := b.digest(key, model.DigestQuery{Ends: ends, MaxBytes: 1 << 20})
		if !slices.EqualFunc(runs, other, func(x, y model.DigestRun) bool {
			return x.Sum == y.Sum && x.Items == y.Items && string(x.Hi) == string(y.Hi) && len(x.Keys) == len(y.Keys)
		}) {
			a.t.Fatalf("%+v: equal units have the sums %+v and %+v", key, runs, other)
		}
		x, y := a.look(key), b.look(key)
		if x.Unit.Version != y.Unit.Version || x.Unit.Sum != y.Unit.Sum {
			a.t.Fatalf("%+v: equal units count as %+v and %+v", key, x.Unit, y.Unit)
		}
	}
}

// spoil damages a copy past the log: rows go, come and change. Commands can still
// read them, if readable is set.
func (u *unitRegion) spoil(rng *rand.Rand, readable bool) (did bool) {
	types := map[byte]bool{'m': !u.stream, 'B': u.stream, 'P': u.stream}
	for _, k := range slices.Clone(u.view.keys) {
		_, _, typ, rest, ok := keys.SplitData([]byte(k))
		if !ok || !types[typ] || rng.IntN(6) > 0 {
			continue
		}
		did = true
		value := slices.Clone(u.view.values[k])
		switch at := len(k) - 1; {
		case rng.IntN(3) == 0:
			u.view.deleteRange(k, k+"\x00")
		case rng.IntN(2) == 0 && typ == 'm':
			u.view.set(k[:at]+string(rest[len(rest)-1]^1), value) // a message that nobody sent
		case rng.IntN(2) == 0 && typ == 'B':
			u.view.set(k[:len(k)-17]+string(k[len(k)-17]^0x40)+k[len(k)-16:], value)
		default:
			i := rng.IntN(len(value))
			if readable {
				i = len(value) - 1
			}
			value[i] ^= 0x11
			u.view.set(k, value)
		}
	}
	return did
}

// TestMendUnits damages copies, finds what differs by sums, has the original tell
// that again while it is written, and requires that the copy then is what the
// original is, counts included.
func TestMendUnits(t *testing.T) {
	mended := 0
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 23))
		a, b := pairOfUnits(t, seed%2 == 1, func(a *unitRegion) { a.settings.Fifo = rng.IntN(2) == 0 })
		b.settings.Fifo = a.settings.Fifo
		step := queueStep
		if a.stream {
			step = shardStep
		}
		for range 60 {
			step(a, rng)
		}
		a.shipAll(b)
		agree(a, b, 4)
		quiet := rng.IntN(3) == 0
		if !b.spoil(rng, !quiet) {
			continue
		}
		if quiet {
			step = func(*unitRegion, *rand.Rand) {}
		}
		step(a, rng)
		for _, key := range a.units() {
			cmd := model.RewriteUnit{Kind: a.kind(), Shard: key.Shard, Places: differing(a.sums(key), b.sums(key))}
			step(a, rng)
			body := cmd.Append(nil)
			res := a.run1(&model.Command{Kind: model.CmdRewriteUnit, Resource: 5, Slot: key.Slot, Body: body})
			if did := model.NewDecoder(res.Body).Uvarint(); res.Status != model.StatusOK || did != uint64(len(cmd.Places)) {
				t.Fatalf("status %d, %d places of %d", res.Status, did, len(cmd.Places))
			}
			mended += len(cmd.Places)
			step(a, rng)
		}
		a.shipAll(b)
		agree(a, b, 4)
		if !a.stream {
			b.checkQueue(5)
			if got, want := b.messages(), a.messages(); !slices.Equal(got, want) {
				t.Fatalf("seed %d: the copy holds %q, the original %q", seed, got, want)
			}
		} else if got, want := b.shards(), a.shards(); !slices.Equal(got, want) {
			t.Fatalf("seed %d: the copy holds %q, the original %q", seed, got, want)
		}
		a.checkReplay()
		if res := b.run1(&model.Command{Kind: model.CmdRewriteUnit, Resource: 5, Slot: a.units()[0].Slot, Body: (&model.RewriteUnit{Kind: a.kind()}).Append(nil)}); res.Status != model.StatusPassive {
			t.Fatalf("a copy was rewritten: status %d", res.Status)
		}
	}
	if mended < 60 {
		t.Errorf("only %d places were mended: the test does nothing", mended)
	}
}

// differing are the places at which two lists differ, ascending.
func differing(a, b []model.KeySum) (places [][]byte) {
	sums := map[string]model.Sum{}
	for _, k := range b {
		sums[string(k.Place)] = k.Sum
	}
	for _, k := range a {
		if sum, ok := sums[string(k.Place)]; !ok || sum != k.Sum {
			places = append(places, k.Place)
		}
		delete(sums, string(k.Place))
	}
	for place := range sums {
		places = append(places, []byte(place))
	}
	slices.SortFunc(places, slices.Compare)
	return places
}
