package model

// BillingMode is how a table is charged at AWS. Weir keeps it for clients that
// read it back and charges nothing. The numbers are part of the stored format.
type BillingMode uint8

// The billing modes.
const (
	BillingProvisioned BillingMode = 1
	BillingPerRequest  BillingMode = 2
)

// TableClass is a table's storage class at AWS, kept for clients that read it
// back. The numbers are part of the stored format.
type TableClass uint8

// The table classes.
const (
	ClassStandard         TableClass = 1
	ClassInfrequentAccess TableClass = 2
)

// KeyAttr is a key attribute and its kind: KindS, KindN or KindB.
type KeyAttr struct {
	Name string
	Kind Kind
}

// Tag is a name and a value that a user hung on a resource.
type Tag struct {
	Key, Value string
}

// TableSpec is the Spec of a table in the catalog.
type TableSpec struct {
	TableID            string    // UUID, as DescribeTable shows it
	Attributes         []KeyAttr // AttributeDefinitions in the client's order
	Partition          KeyAttr
	Sort               KeyAttr // Name is empty when the table has no sort key
	Billing            BillingMode
	ReadUnits          uint64 // provisioned throughput as given
	WriteUnits         uint64
	Tags               []Tag // by Key, each once
	DeletionProtection bool
	Class              TableClass
	KmsKey             string // key of SSESpecification as given, "" without encryption by KMS; kept and shown only
}

// HasSort reports whether items have a sort key.
func (s *TableSpec) HasSort() bool { return s.Sort.Name != "" }

// tableSpecVersion begins every encoded TableSpec.
const tableSpecVersion = 1

// Append appends the stored form. See docs/format/command-table.md.
func (s *TableSpec) Append(dst []byte) []byte {
	dst = append(dst, tableSpecVersion)
	dst = AppendString(dst, s.TableID)
	dst = AppendUvarint(dst, uint64(len(s.Attributes)))
	for _, a := range s.Attributes {
		dst = a.append(dst)
	}
	dst = s.Partition.append(dst)
	dst = s.Sort.append(dst)
	dst = append(dst, byte(s.Billing), byte(s.Class))
	dst = AppendUvarint(dst, s.ReadUnits)
	dst = AppendUvarint(dst, s.WriteUnits)
	dst = AppendBool(dst, s.DeletionProtection)
	dst = AppendUvarint(dst, uint64(len(s.Tags)))
	for _, t := range s.Tags {
		dst = AppendString(AppendString(dst, t.Key), t.Value)
	}
	return AppendString(dst, s.KmsKey)
}

// Decode reads what Append wrote.
func (s *TableSpec) Decode(d *Decoder) {
	if d.Byte() != tableSpecVersion {
		d.Fail()
	}
	s.TableID = d.String()
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		var a KeyAttr
		a.decode(d)
		s.Attributes = append(s.Attributes, a)
	}
	s.Partition.decode(d)
	s.Sort.decode(d)
	s.Billing, s.Class = BillingMode(d.Byte()), TableClass(d.Byte())
	s.ReadUnits, s.WriteUnits = d.Uvarint(), d.Uvarint()
	s.DeletionProtection = d.Bool()
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		s.Tags = append(s.Tags, Tag{Key: d.String(), Value: d.String()})
	}
	s.KmsKey = d.String()
}

func (a KeyAttr) append(dst []byte) []byte {
	return append(AppendString(dst, a.Name), byte(a.Kind))
}

func (a *KeyAttr) decode(d *Decoder) { a.Name, a.Kind = d.String(), Kind(d.Byte()) }

// ReturnMode says which attributes an UpdateItem returns. The numbers are part
// of the stored format.
type ReturnMode uint8

// The return modes, as DynamoDB names them.
const (
	ReturnNone       ReturnMode = 0
	ReturnAllOld     ReturnMode = 1
	ReturnUpdatedOld ReturnMode = 2
	ReturnAllNew     ReturnMode = 3
	ReturnUpdatedNew ReturnMode = 4
)
