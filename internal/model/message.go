package model

// MessageID names a message for clients: 16 random bytes.
type MessageID [16]byte

// MessageAttr is one attribute that a client hung on a message.
type MessageAttr struct {
	Name     string
	DataType string // String, Number or Binary, with an optional .label
	Value    string // the text, or the bytes of a Binary
}

// Message is what a client sent, as it is stored: it never changes.
type Message struct {
	ID       MessageID
	SentMs   int64         // Unix milliseconds; zero in a command: when it is applied
	Sender   string        // the principal's id
	Trace    string        // system attribute AWSTraceHeader; "" when none
	Group    string        // MessageGroupId; "" when none
	Dedup    string        // MessageDeduplicationId, given or made of the body; "" outside FIFO queues
	Priority uint8         // 0 to MaxPriority; the higher is delivered first; standard queues only
	Attrs    []MessageAttr // in the client's order
	Body     []byte
	DeadFrom ResourceID // the queue it died in, for a dead letter; else zero
}

// messageVersion begins every encoded Message.
const messageVersion = 1

// Size is what counts against MaximumMessageSize: the body, and the names,
// types and values of the attributes. The trace header does not count.
func (m *Message) Size() int {
	n := len(m.Body)
	for i := range m.Attrs {
		a := &m.Attrs[i]
		n += len(a.Name) + len(a.DataType) + len(a.Value)
	}
	return n
}

// Append appends the stored form. See docs/format/queue.md.
func (m *Message) Append(dst []byte) []byte {
	dst = append(dst, messageVersion)
	dst = append(dst, m.ID[:]...)
	dst = AppendUvarint(dst, uint64(m.SentMs))
	dst = AppendString(dst, m.Sender)
	dst = AppendString(dst, m.Trace)
	dst = AppendString(dst, m.Group)
	dst = AppendString(dst, m.Dedup)
	dst = append(dst, m.Priority)
	dst = AppendUvarint(dst, uint64(m.DeadFrom))
	dst = AppendUvarint(dst, uint64(len(m.Attrs)))
	for i := range m.Attrs {
		a := &m.Attrs[i]
		dst = AppendString(AppendString(AppendString(dst, a.Name), a.DataType), a.Value)
	}
	return AppendBytes(dst, m.Body)
}

// Decode reads what Append wrote; Body shares memory with d's input. The Sender
// that is there before, mostly that of the message before it, is kept if it is the
// same.
func (m *Message) Decode(d *Decoder) {
	if d.Byte() != messageVersion {
		d.Fail()
	}
	copy(m.ID[:], d.Fixed(len(m.ID)))
	m.SentMs = int64(d.Uvarint())
	m.Sender, m.Trace = d.stringLike(m.Sender), d.String()
	m.Group, m.Dedup = d.String(), d.String()
	if m.Priority = d.Byte(); m.Priority > MaxPriority {
		d.Fail()
	}
	m.DeadFrom = ResourceID(d.Uvarint())
	for n := d.Count(); n > 0; n-- {
		m.Attrs = append(m.Attrs, MessageAttr{Name: d.String(), DataType: d.String(), Value: d.String()})
	}
	m.Body = d.Bytes()
}

// Received is a message with what its queue knows about it.
type Received struct {
	Message
	Seq            uint64 // its number in the queue; never used again
	Receives       uint32 // how often it was received, this time included
	FirstReceiveMs int64  // Unix milliseconds; zero when it never was
	Receipt        string // as clients see it; "" for a claim
}

// append appends the form between nodes.
func (r *Received) append(dst []byte) []byte {
	dst = AppendUvarint(dst, r.Seq)
	dst = AppendUvarint(dst, uint64(r.Receives))
	dst = AppendUvarint(dst, uint64(r.FirstReceiveMs))
	dst = AppendString(dst, r.Receipt)
	return r.Message.Append(dst)
}

func (r *Received) decode(d *Decoder) {
	r.Seq = d.Uvarint()
	r.Receives = uint32(d.Uvarint())
	r.FirstReceiveMs = int64(d.Uvarint())
	r.Receipt = d.String()
	r.Message.Decode(d)
}

func appendReceived(dst []byte, ms []Received) []byte {
	dst = AppendUvarint(dst, uint64(len(ms)))
	for i := range ms {
		dst = ms[i].append(dst)
	}
	return dst
}

func decodeReceived(d *Decoder) []Received {
	n := d.Count()
	if n == 0 {
		return nil
	}
	ms := make([]Received, 0, min(n, 16))
	for ; n > 0; n-- {
		var m Received
		if len(ms) > 0 {
			m.Sender = ms[len(ms)-1].Sender
		}
		m.decode(d)
		if d.Err() != nil {
			return nil
		}
		ms = append(ms, m)
	}
	return ms
}
