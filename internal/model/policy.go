package model

import (
	"slices"
	"strconv"
	"strings"
)

// Policy says how a table's conflicts between regions are resolved. The numbers
// are part of the stored format; docs/adr/0009-regions.md says what each means
// and why regions converge with it.
type Policy uint8

// The policies.
const (
	PolicyLastWriter Policy = 0 // the highest version wins the whole item
	PolicyFields     Policy = 1 // the highest version of each attribute wins it
	PolicyCounter    Policy = 2 // as PolicyFields, and what is added to numbers adds up
	PolicyUnion      Policy = 3 // as PolicyFields, and sets are merged member by member
	PolicyRegions    Policy = 4 // the write of the region that is named first wins
	PolicyQueue      Policy = 5 // as PolicyLastWriter, and both versions are sent to a queue
)

var policyNames = [...]string{"last-writer", "fields", "counter", "union", "region", "queue"}

func (p Policy) String() string {
	if int(p) < len(policyNames) {
		return policyNames[p]
	}
	return "policy(" + strconv.Itoa(int(p)) + ")"
}

// Policy reads a stored policy.
func (d *Decoder) Policy() Policy {
	p := Policy(d.Byte())
	if int(p) >= len(policyNames) {
		d.Fail()
	}
	return p
}

// Tracked is the policy that local writes have to keep merge state for, or
// PolicyLastWriter when they keep none.
func (p Policy) Tracked() Policy {
	if p == PolicyFields || p == PolicyCounter || p == PolicyUnion {
		return p
	}
	return PolicyLastWriter
}

// Resolution is how a table's conflicts are resolved, as its tag says.
type Resolution struct {
	Policy  Policy
	Regions []string // of PolicyRegions: names or ids, the first wins
	Queue   string   // of PolicyQueue: its name
}

// maxPolicyRegions bounds the regions that a policy names.
const maxPolicyRegions = 16

// ParseResolution reads what ResolutionTag holds: last-writer, fields, counter,
// union, region:NAME or region:NAME/NAME..., or queue:NAME. Errors:
// ErrValidation.
func ParseResolution(text string) (r Resolution, err error) {
	name, rest, given := strings.Cut(text, ":")
	at := slices.Index(policyNames[:], name)
	r.Policy = Policy(max(at, 0))
	switch {
	case at < 0, given != (r.Policy == PolicyRegions || r.Policy == PolicyQueue):
		return r, Errorf(ErrValidation, "%.300q is no way to resolve conflicts: last-writer, fields, counter, union, region:NAME/NAME... and queue:NAME are", text)
	case r.Policy == PolicyRegions:
		if r.Regions = strings.Split(rest, "/"); slices.Contains(r.Regions, "") || len(r.Regions) > maxPolicyRegions {
			return r, Errorf(ErrValidation, "region: is followed by 1 to %d names or ids of regions with / between, the first of which wins", maxPolicyRegions)
		}
	case r.Policy == PolicyQueue:
		if r.Queue = rest; rest == "" {
			return r, Errorf(ErrValidation, "queue: is followed by the name of a queue")
		}
	}
	return r, nil
}

// String is the text that ParseResolution reads.
func (r *Resolution) String() string {
	switch r.Policy {
	case PolicyRegions:
		return r.Policy.String() + ":" + strings.Join(r.Regions, "/")
	case PolicyQueue:
		return r.Policy.String() + ":" + r.Queue
	default:
		return r.Policy.String()
	}
}

// Agreed is what two regions have to have in common to end with the same items.
// A region that sends its conflicts to a queue resolves them as one does that
// does not; rank are the ids of Regions.
func (r *Resolution) Agreed(rank []RegionID) string {
	switch r.Policy {
	case PolicyQueue:
		return PolicyLastWriter.String()
	case PolicyRegions:
		ids := make([]string, len(rank))
		for i, id := range rank {
			ids[i] = strconv.FormatUint(uint64(id), 16)
		}
		return r.Policy.String() + ":" + strings.Join(ids, "/")
	default:
		return r.Policy.String()
	}
}
