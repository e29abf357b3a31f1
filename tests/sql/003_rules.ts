// Data for the tests of the validator.

/** Whom a resource is about, where it must say so. */
export const subject = { reference: "Patient/1" };
/** The least that is valid, by type. */
export const least: Record<string, Record<string, unknown>> = {
  Patient: { identifier: [{ value: "1" }] },
  Practitioner: { name: [{ text: "Dr Synthetic" }] },
  Organization: { name: "Clinic" },
  Observation: { status: "final", code: { text: "x" } },
  MedicationStatement: { status: "active", medicationCodeableConcept: { text: "x" }, subject },
  MedicationRequest: { status: "active", intent: "order", medicationReference: { reference: "Medication/1" }, subject },
  DocumentReference: { status: "current", content: [{ attachment: { url: "Binary/1" } }] },
  Condition: { subject },
  AllergyIntolerance: {
    clinicalStatus: {
      coding: [{ system: "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", code: "active" }],
    },
    patient: subject,
  },
  Consent: {
    status: "active",
    scope: { coding: [{ system: "http://terminology.hl7.org/CodeSystem/consentscope", code: "research" }] },
    category: [{ text: "x" }],
    policyRule: { text: "x" },
  },
  Bundle: { type: "collection" },
};

/** The code system of HL7 behind each value set that the validator knows, by type and element. */
export const valueSets: Record<string, string> = {
  "Patient.gender": "http://hl7.org/fhir/administrative-gender",
  "Observation.status": "http://hl7.org/fhir/observation-status",
  "MedicationStatement.status": "http://hl7.org/fhir/CodeSystem/medication-statement-status",
  "MedicationRequest.status": "http://hl7.org/fhir/CodeSystem/medicationrequest-status",
  "MedicationRequest.intent": "http://hl7.org/fhir/CodeSystem/medicationrequest-intent",
  "MedicationRequest.priority": "http://hl7.org/fhir/request-priority",
  "DocumentReference.status": "http://hl7.org/fhir/document-reference-status",
  "DocumentReference.docStatus": "http://hl7.org/fhir/composition-status",
  "Condition.clinicalStatus": "http://terminology.hl7.org/CodeSystem/condition-clinical",
  "Condition.verificationStatus": "http://terminology.hl7.org/CodeSystem/condition-ver-status",
  "AllergyIntolerance.clinicalStatus": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical",
  "AllergyIntolerance.verificationStatus": "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification",
  "AllergyIntolerance.type": "http://hl7.org/fhir/allergy-intolerance-type",
  "AllergyIntolerance.category": "http://hl7.org/fhir/allergy-intolerance-category",
  "AllergyIntolerance.criticality": "http://hl7.org/fhir/allergy-intolerance-criticality",
  "Consent.status": "http://hl7.org/fhir/consent-state-codes",
  "Bundle.type": "http://hl7.org/fhir/bundle-type",
};

/** What R4 forbids: type, where the validator must say so, and what is put into the least valid resource. */
export const breaches: readonly [type: string, path: string, more: Record<string, unknown>][] = [
  ["Patient", "Patient.name[0].given[0]", { name: [{ family: "x", given: [null] }] }],
  ["Patient", "Patient.name[0].period", { name: [{ family: "x", period: {} }] }],
  ["Patient", "Patient.name[0].family", { name: [{ family: " " }] }],
  ["Patient", "Patient.active", { active: "true" }],
  ["Patient", "Patient.birthDate", { birthDate: "1970-02-30" }],
  ["Patient", "Patient.birthDate", { birthDate: "31.1.1970" }],
  ["Patient", "Patient.deceased[x]", { deceasedBoolean: true, deceasedDateTime: "2024" }],
  ["Patient", "Patient.telecom", { telecom: [{ value: "x" }] }],
  ["Patient", "Patient.generalPractitioner", { generalPractitioner: [{ reference: "Patient/1" }] }],
  ["Patient", "Patient.id", { id: "has blanks" }],
  ...[7, true, ["1"], { value: "1" }].map((id): [string, string, Record<string, unknown>] => [
    "Patient",
    "Patient.id",
    { id },
  ]),
  ["Patient", "Patient.identifier[0].system", { identifier: [{ system: "mrn", value: "1" }] }],
  ["Observation", "Observation.subject.reference", { subject: { reference: "the patient" } }],
  ["Observation", "Observation.subject.reference", { subject: { reference: "patient/1" } }],
  ["Observation", "Observation.subject", { subject: { reference: "Medication/1" } }],
  ["Observation", "Observation.subject", { subject: { type: "Patient" } }],
  ["Observation", "Observation.subject", { category: [{ coding: [{ system: "urn:x:y", code: "vital-signs" }] }] }],
  ["Observation", "Observation.code", { code: { coding: [{ display: "x" }] } }],
  ["Observation", "Observation.dataAbsentReason", { valueString: "x", dataAbsentReason: { text: "x" } }],
  ["Observation", "Observation.value[x]", { valueString: "x", valueBoolean: true }],
  ["Observation", "Observation.valueQuantity", { valueQuantity: { value: 1, code: "mg" } }],
  ["Observation", "Observation.valueInteger", { valueInteger: 1.5 }],
  ["Observation", "Observation.issued", { issued: "2024-05-06" }],
  ["Observation", "Observation.effectivePeriod", { effectivePeriod: { start: "2024-05-06", end: "2024-05-05" } }],
  ["Observation", "Observation.referenceRange", { referenceRange: [{ age: { low: { value: 1 } } }] }],
  ["Observation", "Observation.component", { component: [{ valueString: "x" }] }],
  ["MedicationRequest", "MedicationRequest.medication", { medicationReference: undefined }],
  ["MedicationStatement", "MedicationStatement.medication[x]", { medicationReference: { reference: "Medication/1" } }],
  ["DocumentReference", "DocumentReference.content", { content: [{ format: { code: "x" } }] }],
  ["DocumentReference", "DocumentReference.content", { content: [{ attachment: { data: "AA==" } }] }],
  [
    "Condition",
    "Condition.abatement",
    {
      abatementDateTime: "2024",
      clinicalStatus: {
        coding: [{ system: "http://terminology.hl7.org/CodeSystem/condition-clinical", code: "active" }],
      },
    },
  ],
  [
    "Condition",
    "Condition.clinicalStatus",
    {
      clinicalStatus: {
        coding: [{ system: "http://terminology.hl7.org/CodeSystem/condition-clinical", code: "chronic" }],
      },
    },
  ],
  ["AllergyIntolerance", "AllergyIntolerance.clinicalStatus", { clinicalStatus: undefined }],
  ["AllergyIntolerance", "AllergyIntolerance.category", { category: ["drug"] }],
  ["AllergyIntolerance", "AllergyIntolerance.reaction", { reaction: [{ severity: "mild" }] }],
  [
    "AllergyIntolerance",
    "AllergyIntolerance.reaction",
    { reaction: [{ manifestation: [{ text: "x" }], severity: "life-threatening" }] },
  ],
  ["Consent", "Consent.policy", { policyRule: undefined }],
  [
    "Consent",
    "Consent.patient",
    {
      scope: {
        coding: [{ system: "http://terminology.hl7.org/CodeSystem/consentscope", code: "patient-privacy" }],
      },
    },
  ],
  [
    "Consent",
    "Consent.category",
    {
      category: [
        {
          coding: [{ system: "http://terminology.hl7.org/CodeSystem/consentcategorycodes", code: "treatment" }],
        },
      ],
    },
  ],
  ["Consent", "Consent.provision.actor", { provision: { actor: [{ role: { text: "x" } }] } }],
  ["Consent", "Consent.provision", { provision: { type: "allow" } }],
  ["Bundle", "Bundle.entry[0]: Patient.identifier", { entry: [{ resource: { resourceType: "Patient" } }] }],
  ["Bundle", "Bundle.entry[0]: resourceType", { entry: [{ resource: {} }] }],
];
