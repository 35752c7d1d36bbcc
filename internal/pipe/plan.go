package pipe

import (
	"encoding/hex"
	"encoding/json"
	"sort"

	"weir.dev/weir/internal/expr"
	"weir.dev/weir/internal/model"
)

// formatID is a message id as SQS shows it: a UUID's form.
func formatID(id model.MessageID) string {
	h := hex.EncodeToString(id[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// plan is what a claim carries: the pipe's spec without what does not matter
// for what becomes of the claim's messages.
func plan(s *model.PipeSpec) []byte {
	kept := model.PipeSpec{
		Source: s.Source, SourceKind: s.SourceKind, SourceSlots: s.SourceSlots, Target: s.Target, TargetKind: s.TargetKind, TargetSlots: s.TargetSlots,
		DeadLetters: s.DeadLetters, Mapping: s.Mapping, Bounds: s.Bounds, TargetShards: s.TargetShards,
	}
	return kept.Append(nil)
}

// mappingText is the stored form of a mapping, as JSON: which update a message
// makes on which item, or which record. See docs/pipes.md.
type mappingText struct {
	Key    map[string]string `json:"key"`
	Update string            `json:"update"`
	Names  map[string]string `json:"names,omitempty"`
	Values map[string]string `json:"values,omitempty"`
	// Into a stream: the record's partition key, and its data; "" is the body.
	PartitionKey string `json:"partition_key,omitempty"`
	Data         string `json:"data,omitempty"`
	Group        string `json:"group,omitempty"` // into a FIFO queue
}

// named is a source under the name of an attribute or of an expression value.
type named struct {
	name   string
	source *Source
}

// mapping makes updates, or records, from messages.
type mapping struct {
	text   mappingText
	key    []named // by name
	values []named // by name
	// partitionKey and data are of a record, data and group of a message; data is
	// nil when it is the body.
	partitionKey, data, group *Source
}

// compileMapping reads a stored mapping. Errors are ErrValidation.
func compileMapping(stored []byte) (*mapping, error) {
	m := &mapping{}
	if err := json.Unmarshal(stored, &m.text); err != nil {
		return nil, model.Errorf(model.ErrValidation, "malformed mapping: %v", err)
	}
	var err error
	for _, part := range []struct {
		text string
		into **Source
	}{{m.text.PartitionKey, &m.partitionKey}, {m.text.Data, &m.data}, {m.text.Group, &m.group}} {
		if part.text != "" {
			if *part.into, err = ParseSource(part.text); err != nil {
				return nil, err
			}
		}
	}
	if m.key, err = parseNamed(m.text.Key); err != nil {
		return nil, err
	}
	m.values, err = parseNamed(m.text.Values)
	return m, err
}

func parseNamed(texts map[string]string) (ns []named, err error) {
	for name, text := range texts {
		s, err := ParseSource(text)
		if err != nil {
			return nil, err
		}
		ns = append(ns, named{name, s})
	}
	sort.Slice(ns, func(i, j int) bool { return ns[i].name < ns[j].name })
	return ns, nil
}

func read(ns []named, msg *Message) (model.Item, error) {
	item := make(model.Item, len(ns))
	for i, n := range ns {
		v, err := n.source.Value(msg)
		if err != nil {
			return nil, err
		}
		item[i] = model.Attr{Name: n.name, Value: v}
	}
	return item, nil
}

// update is the key of the item that a message updates, and the update. An
// error is the reason that the message's dead letter carries.
func (m *mapping) update(msg *Message) (key model.Item, update *expr.Update, err error) {
	if key, err = read(m.key, msg); err != nil {
		return nil, nil, err
	}
	values, err := read(m.values, msg)
	if err != nil {
		return nil, nil, err
	}
	params, err := m.params(values)
	if err != nil {
		return nil, nil, err
	}
	update, err = expr.ParseUpdate(m.text.Update, params)
	return key, update, err
}

func (m *mapping) params(values model.Item) (*expr.Params, error) {
	names := m.text.Names
	if len(names) == 0 {
		names = nil
	}
	if len(values) == 0 {
		values = nil
	}
	return expr.NewParams(names, values)
}

// check holds the mapping to what can be known before the first message: the
// syntax of the update, and that every name and value is used. Values are
// stood in for by numbers and lists, whose types the first real message may not have.
func (m *mapping) check(target model.ResourceKind) error {
	switch {
	case target == model.KindStream:
		return m.checkRecord()
	case target == model.KindQueue:
		return m.checkMessage()
	case m.partitionKey != nil || m.data != nil || m.group != nil:
		return model.Errorf(model.ErrValidation, "a partition key and data are for pipes into streams, a group and data for those into queues")
	}
	return m.checkUpdate()
}

// maxGuesses bounds the types that are tried for the values of an update.
const maxGuesses = 1 << 10

// checkUpdate checks the update with numbers for the values that messages
// bring, and when it does not take them, with lists for some, which list_append
// wants.
func (m *mapping) checkUpdate() error {
	var open []int // values that messages bring
	values := make(model.Item, len(m.values))
	for i, n := range m.values {
		values[i] = model.Attr{Name: n.name, Value: n.source.literal}
		if n.source.kind != kindLiteral {
			open = append(open, i)
		}
	}
	var first error
	for guess := range min(maxGuesses, 1<<min(len(open), 16)) {
		for bit, i := range open {
			values[i].Value = model.Value{Kind: model.KindN, Str: "0"}
			if guess>>bit&1 == 1 {
				values[i].Value = model.Value{Kind: model.KindL}
			}
		}
		err := m.checkWith(values)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}

func (m *mapping) checkWith(values model.Item) error {
	params, err := m.params(values)
	if err != nil {
		return err
	}
	if _, err := expr.ParseUpdate(m.text.Update, params); err != nil {
		return err
	}
	return params.CheckUnused()
}

// checkRecord holds the mapping of a pipe into a stream to what it may say.
func (m *mapping) checkRecord() error {
	switch {
	case m.partitionKey == nil:
		return model.Errorf(model.ErrValidation, "a record needs a partition key: add --partition-key '$.path', or '$id'")
	case m.group != nil:
		return model.Errorf(model.ErrValidation, "a group is for pipes into queues")
	default:
		return m.checkNoUpdate()
	}
}

// checkMessage holds the mapping of a pipe into a queue to what it may say.
func (m *mapping) checkMessage() error {
	if m.partitionKey != nil {
		return model.Errorf(model.ErrValidation, "a partition key is for pipes into streams")
	}
	return m.checkNoUpdate()
}

func (m *mapping) checkNoUpdate() error {
	if len(m.key) > 0 || m.text.Update != "" || len(m.text.Names) > 0 || len(m.values) > 0 {
		return model.Errorf(model.ErrValidation, "a key, an update, names and values are for pipes into tables")
	}
	return nil
}
