package front

import (
	"strconv"
	"time"

	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/terms"
)

// The headers by which a request asks for more than its content says, and by
// which its answer tells what it was given. They are extensions; docs/http.md
// describes them. A request that names none of them is told nothing.
const (
	headerDurability = "x-weir-durability"
	headerLag        = "x-weir-lag-ms"
	headerSession    = "x-weir-session"
	headerRegions    = "x-weir-regions"

	headerRegionLag     = "x-weir-region-lag-ms"
	headerRegionChanges = "x-weir-region-lag-changes"
)

// newSession is the value of x-weir-session that begins a session.
const newSession = "new"

// maxLagMs bounds x-weir-max-lag-ms: a day.
const maxLagMs = 24 * 60 * 60 * 1000

// maxRegions bounds x-weir-regions: nobody has that many.
const maxRegions = 100

// readTerms reads the request's terms from its headers.
func (x *exchange) readTerms() *awsapi.Error {
	h := &x.head
	if len(h.durability)+len(h.maxLag)+len(h.session)+len(h.regions) == 0 {
		return nil
	}
	t := &terms.Terms{Level: model.LevelAsync}
	var err error
	if len(h.durability) > 0 {
		if t.Level, err = model.ParseLevel(string(h.durability)); err != nil {
			return badTerms("The header x-weir-durability must be async, quorum, all-if-up or all.")
		}
	}
	if len(h.regions) > 0 {
		n, err := strconv.ParseUint(string(h.regions), 10, 31)
		if err != nil || n > maxRegions {
			return badTerms("The header x-weir-regions must be a whole number from 0 to 100.")
		}
		t.Regions = int(n)
	}
	if len(h.maxLag) > 0 {
		ms, err := strconv.ParseUint(string(h.maxLag), 10, 31)
		if err != nil || ms < 1 || ms > maxLagMs {
			return badTerms("The header x-weir-max-lag-ms must be a whole number from 1 to 86400000.")
		}
		t.MaxLag = time.Duration(ms) * time.Millisecond
	}
	if session := string(h.session); session != newSession {
		if t.After, err = terms.ParseToken(session); err != nil {
			return badTerms("The header x-weir-session must be new, or the value of an earlier answer.")
		}
	}
	x.terms = t
	return nil
}

func badTerms(message string) *awsapi.Error {
	return frontError(400, "ValidationException", message)
}

// tellTerms adds what the request was given to the answer.
func (x *exchange) tellTerms() {
	if x.terms == nil {
		return
	}
	g := x.terms.Given()
	if g.Wrote {
		x.via.addHeader(headerDurability, g.Level.String())
	}
	if g.Shipped {
		x.via.addHeader(headerRegions, strconv.Itoa(g.Regions))
	}
	if g.Read {
		x.via.addHeader(headerLag, strconv.FormatInt(g.Lag.Milliseconds(), 10))
	}
	if g.FromRegion {
		x.via.addHeader(headerRegionLag, strconv.FormatInt(g.RegionLag.Milliseconds(), 10))
		x.via.addHeader(headerRegionChanges, strconv.FormatUint(g.RegionChanges, 10))
	}
	if len(x.head.session) > 0 {
		x.via.addHeader(headerSession, g.Token.String())
	}
}
